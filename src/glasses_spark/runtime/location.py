"""Locations: paths and URIs as users write them, converted for Python and for Spark."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from glasses_spark.runtime import hadoop
from glasses_spark.runtime.connect import is_connect, runs_locally

# Not imported here: locations are also used before Spark is found and started.
if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# The beginning of a URI.
SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_GLOB_CHARACTERS: Final = re.compile(r"([\\\[\]{}*?])")


def is_uri(location: str) -> bool:
    """Return whether a location is a URI, not a plain path."""
    return SCHEME.match(location) is not None


def is_remote(location: str) -> bool:
    """Return whether a location is a URI of another file system than this machine's disks."""
    return is_uri(location) and not location.startswith("file:/")


def local_path(location: str) -> Path | None:
    """Return the path of an existing file or folder on this machine.

    Args:
        location: A path (``~`` is the home folder), a ``file:`` URI, URL-encoded or
            not, or any other URI.

    Returns:
        An absolute path; None where nothing exists, and for other URIs.
    """
    if location.startswith("file:/"):
        candidates = [Path(path_on_disk(location)), Path(unquote(urlsplit(location).path))]
    elif is_uri(location):
        candidates = []
    else:
        candidates = [Path(location).expanduser().absolute()]
    return next((path for path in candidates if path.exists()), None)


def local_folder(location: str) -> Path | None:
    """Return a folder of this machine, whether it exists or not; None for other URIs."""
    if location.startswith("file:/"):
        return local_path(location) or Path(path_on_disk(location))
    return None if is_uri(location) else Path(location)


def is_on_disk(spark: SparkSession, location: str) -> bool:
    """Return whether tasks can open the files of a location by their paths, without Spark.

    Args:
        spark: The running session; its default file system applies to plain paths.
        location: As for ``data_path``; may be a glob.
    """
    return hadoop.is_disk(spark, data_path(spark, location))


def path_on_disk(path: str) -> str:
    """Return the path of a file on a disk from Spark's form of it, ``file:/faces/1.png``."""
    return "/" + path.removeprefix("file:").lstrip("/")


def state_on_disk(path: str) -> tuple[int | None, int | None]:
    """Return the state of a file on a disk, in the units of Spark's file listing.

    Args:
        path: In Spark's form.

    Returns:
        ``length`` in bytes, None where the file is missing or cannot be read, and
        ``modificationTime`` in microseconds, None for an empty file as well.
    """
    try:
        # As bytes: the encoding of names must not depend on the locale of a worker.
        status = os.stat(path_on_disk(path).encode("utf-8", "surrogateescape"))
    except OSError:
        return None, None
    # Java has whole milliseconds.
    return status.st_size, status.st_mtime_ns // 1_000_000 * 1_000 if status.st_size else None


def spark_path(location: str) -> str:
    """Convert a location for Spark's readers, which take every path for a glob.

    A local path that exists is taken literally, with glob characters escaped, and relative
    to Python's current folder, not Java's. Any other location is returned unchanged: it may
    be a glob, or on another file system.

    Args:
        location: As for ``local_path``.

    Returns:
        A path, glob or URI.
    """
    path = local_path(location)
    if path is None:
        return str(Path(location).expanduser()) if location.startswith("~") else location
    # Without a scheme Spark uses its default file system, so an explicit one stays.
    scheme = "file:" if location.startswith("file:/") else ""
    return scheme + _GLOB_CHARACTERS.sub(r"\\\1", str(path))


def data_path(spark: SparkSession, location: str) -> str:
    """Convert the location of images or labels for Spark's readers.

    A plain path is on this machine in local mode, and on Spark's default file system on a
    cluster, as that of the pixel store. The default file system is the local disk unless
    Hadoop's configuration names another one.

    Args:
        spark: The running session.
        location: As for ``local_path``.

    Returns:
        A path, glob or URI.
    """
    if is_uri(location) or is_connect(spark) or hadoop.is_disk(spark, "/"):
        return spark_path(location)
    if runs_locally(spark):
        return f"file:{spark_path(str(Path(location).expanduser().absolute()))}"
    # A path of another file system: neither literal nor relative to a folder of this machine.
    return location
