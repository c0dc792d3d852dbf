"""Hadoop: files and folders at any place that Spark can reach, handled by the driver.

No task of Spark's runs here: it does not matter whether the executors see the disk of
the driver. What is copied does not pass through Python.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

# Not imported here: places are also looked at before Spark is found and started.
if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def exists(spark: SparkSession, location: str) -> bool:
    """Return whether there is a file or folder at a path or URI."""
    path, files = _resolved(spark, location)
    return bool(files.exists(path))


def is_folder(spark: SparkSession, location: str) -> bool:
    """Return whether there is a folder at a path or URI."""
    path, files = _resolved(spark, location)
    return bool(files.exists(path)) and bool(files.getFileStatus(path).isDirectory())


def names(spark: SparkSession, location: str) -> list[str]:
    """Return the names of what lies in a folder."""
    path, files = _resolved(spark, location)
    return sorted(str(status.getPath().getName()) for status in files.listStatus(path))


def put(spark: SparkSession, source: Path, location: str) -> None:
    """Copy a file or a folder of this machine to a place where nothing is yet.

    Args:
        spark: The running session.
        source: What is copied, with all that is in it.
        location: Path or URI; folders above it are made.

    Raises:
        FileExistsError: There is something.
    """
    path, files = _resolved(spark, location)
    if files.exists(path):
        raise FileExistsError(f"{location} is there already")
    if path.getParent() is not None:
        files.mkdirs(path.getParent())
    files.copyFromLocalFile(False, False, _local(spark, source), path)


def get(spark: SparkSession, location: str, target: Path) -> None:
    """Copy a file or a folder to this machine.

    Args:
        spark: The running session.
        location: Path or URI.
        target: Where to; must not exist.
    """
    path, files = _resolved(spark, location)
    # "Raw": without files of checksums beside the copies.
    files.copyToLocalFile(False, path, _local(spark, target), True)


def move(spark: SparkSession, location: str, target: str) -> None:
    """Rename a file or a folder; the new name must be free, on the same file system.

    One step on HDFS and on disks; object stores copy what is in it.

    Raises:
        OSError: It was not done.
    """
    path, files = _resolved(spark, location)
    # Most file systems say no in this way, and do not say why.
    if not files.rename(path, _resolved(spark, target)[0]):
        raise OSError(f"{location} cannot be renamed to {target}")


def delete(spark: SparkSession, location: str) -> None:
    """Delete a file, or a folder with all that is in it, if it is there."""
    path, files = _resolved(spark, location)
    files.delete(path, True)


def failures() -> tuple[type[Exception], ...]:
    """Return what the functions above raise; pyspark converts some of what Java raises."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    return (OSError, Py4JError, PySparkException)


def reason_of(error: Exception) -> str:
    """Return what such an error says, in one line."""
    lines = str(getattr(error, "java_exception", error)).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _resolved(spark: SparkSession, location: str) -> tuple[Any, Any]:
    """A path of Hadoop's, and its file system."""
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    path = jvm.org.apache.hadoop.fs.Path(location)
    return path, path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())


def _local(spark: SparkSession, path: Path) -> Any:
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    # In parts, as a text would be read as a URI.
    return jvm.org.apache.hadoop.fs.Path("file", None, str(path.absolute()))
