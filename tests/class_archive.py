"""The class archive for the JVMs of a test run, most of which live for seconds.

With it, a small fit in a process of its own took 23 instead of 27 s of CPU time.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

import pyspark

from glasses_spark.errors import SetupError
from glasses_spark.runtime.class_archive import archive_options, archive_path
from glasses_spark.runtime.java import find_java
from tests.runtime.processes import clean_environment

# Loads most of the classes that tests need.
_PROGRAM: Final = """
import sys
from glasses_spark.runtime.session import spark_session

def identity(batches):
    yield from batches

with spark_session(master="local[2]", keep_classes=True) as spark:
    frame = spark.range(8).mapInArrow(identity, "id bigint").repartition(2)
    frame = frame.join(frame.groupBy("id").count(), "id").persist()
    frame.write.parquet(sys.argv[1])
    spark.read.parquet(sys.argv[1]).orderBy("id").collect()
"""


def start_writing(folder: Path) -> subprocess.Popen[bytes] | None:
    """Write the archive in the background, into the cache folder of the package.

    Args:
        folder: Existing folder for temporary files.

    Returns:
        The process; None if there is an archive, or Java cannot write one. Its JVM, which
        writes the archive after the process has ended, keeps standard error open.
    """
    try:
        java = find_java()
    except SetupError:
        return None
    jars = Path(pyspark.__file__).parent / "jars"
    if not java.shares_classes or archive_path(java, jars).exists():
        return None
    # The second request of a machine writes the archive.
    archive_options(java, jars, write=True)
    return subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, str(folder / "rows.parquet")],
        cwd=folder,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
