"""Hadoop file systems: files and folders at any path or URI that Spark's driver reaches.

The driver does all of this without a Spark task, so it does not matter whether the
executors see the driver's disks. Copied data does not pass through Python. Under Spark
Connect, queries do what they can, and the rest is refused.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from glasses_spark.runtime import connect_files
from glasses_spark.runtime.connect import is_connect, require_classic

# Not imported here: locations are also used before Spark is found and started.
if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# By its full name: py4j would look up each part of a dotted expression in the JVM.
_PATH: Final = "org.apache.hadoop.fs.Path"


def exists(spark: SparkSession, location: str) -> bool:
    """Return whether a file or folder exists at a path or URI."""
    if is_connect(spark):
        return connect_files.exists(spark, location)
    path, file_system = _resolve(spark, location)
    return bool(file_system.exists(path))


def is_folder(spark: SparkSession, location: str) -> bool:
    """Return whether a folder exists at a path or URI."""
    path, file_system = _resolve(spark, location)
    return bool(file_system.exists(path)) and bool(file_system.getFileStatus(path).isDirectory())


def is_disk(spark: SparkSession, location: str) -> bool:
    """Return whether a path or URI is on a local disk, by Spark's default file system."""
    if is_connect(spark):
        return connect_files.is_disk(spark, location)
    _, file_system = _resolve(spark, location)
    return bool(file_system.getScheme() == "file")


def qualify(spark: SparkSession, location: str) -> str:
    """Return the URI of a path, with the scheme and host of Spark's default file system."""
    path, file_system = _resolve(spark, location)
    return str(file_system.makeQualified(path).toString())


def list_names(spark: SparkSession, location: str) -> list[str]:
    """Return the sorted names of the files and folders in a folder."""
    if is_connect(spark):
        return connect_files.list_names(spark, location)
    path, file_system = _resolve(spark, location)
    return sorted(str(status.getPath().getName()) for status in file_system.listStatus(path))


def read_text(spark: SparkSession, location: str) -> str:
    """Return the text of a small file in UTF-8.

    Raises:
        FileNotFoundError: There is no such file.
    """
    path, file_system = _resolve(spark, location)
    if not file_system.exists(path):
        raise FileNotFoundError(location)
    stream = file_system.open(path)
    try:
        return bytes(stream.readAllBytes()).decode()
    finally:
        stream.close()


def make_folder(spark: SparkSession, location: str) -> None:
    """Create a folder and those above it, where they are missing."""
    path, file_system = _resolve(spark, location)
    file_system.mkdirs(path)


def write_text(spark: SparkSession, location: str, text: str) -> None:
    """Write a small file in UTF-8, and the folders above it; an existing one is replaced."""
    path, file_system = _resolve(spark, location)
    stream = file_system.create(path, True)
    try:
        stream.write(bytearray(text.encode()))
    finally:
        stream.close()


def modified(spark: SparkSession, location: str) -> float:
    """Return when a file was written, in seconds by the file system's clock.

    Raises:
        FileNotFoundError: There is no such file.
    """
    path, file_system = _resolve(spark, location)
    if not file_system.exists(path):
        raise FileNotFoundError(location)
    return float(file_system.getFileStatus(path).getModificationTime()) / 1000


def put(spark: SparkSession, source: Path, location: str) -> None:
    """Copy a file or folder of this machine to a location that does not exist yet.

    Args:
        spark: The running session.
        source: File, or folder with all its contents.
        location: Path or URI; missing parent folders are created.

    Raises:
        FileExistsError: The location exists.
    """
    path, file_system = _resolve(spark, location)
    if file_system.exists(path):
        raise FileExistsError(f"{location} exists already")
    if path.getParent() is not None:
        file_system.mkdirs(path.getParent())
    file_system.copyFromLocalFile(False, False, _local_path(spark, source), path)


def get(spark: SparkSession, location: str, target: Path) -> None:
    """Copy a file or folder to this machine.

    Args:
        spark: The running session.
        location: Path or URI.
        target: Path of the copy; must not exist.
    """
    path, file_system = _resolve(spark, location)
    # "Raw" file system: without checksum files beside the copies.
    file_system.copyToLocalFile(False, path, _local_path(spark, target), True)


def move(spark: SparkSession, location: str, target: str) -> None:
    """Rename a file or folder to a free name on the same file system.

    The step is atomic on HDFS and on disks; object stores copy the contents.

    Raises:
        OSError: The file system refused.
    """
    path, file_system = _resolve(spark, location)
    target_path, _ = _resolve(spark, target)
    # Most file systems return False and give no reason.
    if not file_system.rename(path, target_path):
        raise OSError(f"{location} cannot be renamed to {target}")


def delete(spark: SparkSession, location: str) -> None:
    """Delete a file, or a folder with all its contents, if it exists."""
    if is_connect(spark):
        return connect_files.delete(location)
    path, file_system = _resolve(spark, location)
    file_system.delete(path, True)
    return None


def error_types() -> tuple[type[Exception], ...]:
    """Return the types of the errors that the functions of this module raise."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    # PySpark converts some of Java's exceptions, and passes on the others.
    return (OSError, Py4JError, PySparkException)


def reason_of(error: Exception) -> str:
    """Return the message of such an error in one line."""
    lines = str(getattr(error, "java_exception", error)).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _resolve(spark: SparkSession, location: str) -> tuple[Any, Any]:
    """Return Hadoop's path of a location, and its file system."""
    require_classic(spark, f"copying or moving {location}", instead="use a path on this machine")
    path = getattr(spark.sparkContext._jvm, _PATH)(location)
    return path, path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())


def _local_path(spark: SparkSession, path: Path) -> Any:
    # Scheme, host and path apart: Hadoop would parse a single string as a URI.
    return getattr(spark.sparkContext._jvm, _PATH)("file", None, str(path.absolute()))
