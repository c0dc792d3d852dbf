"""Spark installation: the pyspark in use, from this environment or from ``SPARK_HOME``."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Final

from glasses_spark.errors import SetupError

PYSPARK_VERSION: Final = "4.0"

# The first starts the JVM, the second connects to it.
_REQUIRED_FILES: Final = ("bin/spark-submit", "python/lib/py4j-*.zip")


def find_external_spark() -> None:
    """Make the Spark of ``SPARK_HOME`` importable, if that variable is set.

    Raises:
        SetupError: ``SPARK_HOME`` is not a Spark installation.
    """
    home = os.environ.get("SPARK_HOME")
    if not home:
        return
    for pattern in _REQUIRED_FILES:
        if not any(Path(home).glob(pattern)):
            raise SetupError(
                f"Spark cannot start: found no {pattern} in SPARK_HOME={home}; wanted a Spark "
                f"{PYSPARK_VERSION} installation. Correct SPARK_HOME, or unset it to use the "
                "Spark that was installed with this package."
            )
    import findspark

    findspark.init()


def check_pyspark() -> None:
    """Check the version of pyspark, and that Spark's jars have the same version.

    Raises:
        SetupError: A version is wrong.
    """
    pyspark = import_module("pyspark")
    home = os.environ.get("SPARK_HOME")
    version = str(pyspark.__version__)
    folder = Path(str(pyspark.__file__)).parent
    if not f"{version}.".startswith(f"{PYSPARK_VERSION}."):
        origin = f" (SPARK_HOME={home})" if home else ""
        raise SetupError(
            f"Spark cannot be used: found pyspark {version} in {folder}{origin}; wanted "
            f"{PYSPARK_VERSION}. Install pyspark=={PYSPARK_VERSION}.0"
            + (", or set SPARK_HOME to such a Spark, or unset it." if home else ".")
        )
    # findspark changes SPARK_HOME, but not a pyspark that was imported before.
    jars = sorted(Path(home).glob("jars/spark-core_*.jar")) if home else []
    if jars and version not in jars[0].name:
        raise SetupError(
            f"Spark cannot be used: found pyspark {version} in {folder}, but "
            f"{jars[0].name} in SPARK_HOME={home}; wanted the same version of both. Import "
            "glasses_spark before pyspark, or unset SPARK_HOME."
        )
