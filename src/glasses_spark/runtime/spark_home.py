"""Spark home: the pyspark that is used, and its version."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from glasses_spark.errors import SetupError

PYSPARK_VERSION = "4.0"


def find_external_spark() -> None:
    home = os.environ.get("SPARK_HOME")
    if not home:
        return
    # Both are needed: the one starts the JVM, the other talks to it.
    for needed in ("bin/spark-submit", "python/lib/py4j-*.zip"):
        if not any(Path(home).glob(needed)):
            raise SetupError(
                f"Spark cannot start: found no {needed} in SPARK_HOME={home}; wanted a Spark "
                f"{PYSPARK_VERSION} installation. Correct SPARK_HOME, or unset it to use the "
                "Spark that was installed with this package."
            )
    import findspark

    findspark.init()


def check_pyspark() -> None:
    """Refuse another Spark, or Python and JVM parts that do not belong together."""
    pyspark = import_module("pyspark")
    home = os.environ.get("SPARK_HOME")
    version = str(pyspark.__version__)
    where = Path(str(pyspark.__file__)).parent
    if not f"{version}.".startswith(f"{PYSPARK_VERSION}."):
        blame = f" (SPARK_HOME={home})" if home else ""
        raise SetupError(
            f"Spark cannot be used: found pyspark {version} in {where}{blame}; wanted "
            f"{PYSPARK_VERSION}. Install pyspark=={PYSPARK_VERSION}.0"
            + (", or let SPARK_HOME name such a Spark, or unset it." if home else ".")
        )
    # With pyspark imported before, findspark changes SPARK_HOME but not pyspark.
    jars = sorted(Path(home).glob("jars/spark-core_*.jar")) if home else []
    if jars and version not in jars[0].name:
        raise SetupError(
            f"Spark cannot be used: found pyspark {version} in {where}, but "
            f"{jars[0].name} in SPARK_HOME={home}; wanted the same version of both. Import "
            "glasses_spark before pyspark, or unset SPARK_HOME."
        )
