"""Locations: what a user writes for a file or a folder, as Spark wants it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

# Not imported here: places are also looked at before Spark is found and started.
if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# How a URI begins.
SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
_GLOB_CHARACTERS: Final = re.compile(r"([\\\[\]{}*?])")


def local_path(location: str) -> Path | None:
    """Return what a location is on this machine, if it is there.

    Args:
        location: A path (``~`` is the home folder), a ``file:`` URI, URL-encoded or
            not, or any other URI.

    Returns:
        The absolute path of an existing file or folder, or None.
    """
    if location.startswith("file:/"):
        plain = Path("/" + location.removeprefix("file:").lstrip("/"))
        candidates = [plain, Path(unquote(urlsplit(location).path))]
    elif SCHEME.match(location):
        candidates = []
    else:
        candidates = [Path(location).expanduser().absolute()]
    return next((path for path in candidates if path.exists()), None)


def local_folder(location: str) -> Path | None:
    """Return a folder of this machine, there or not; None for a URI of another place."""
    if location.startswith("file:/"):
        return local_path(location) or Path(path_on_disk(location))
    return None if SCHEME.match(location) else Path(location)


def is_on_disk(spark: SparkSession, location: str) -> bool:
    """Tell whether a location is on a disk of this machine, or one that machines share.

    Args:
        spark: The running session, whose default file system counts for plain paths.
        location: As for ``spark_path``; a glob, too.

    Returns:
        Whether tasks can open what is there by its path, without Spark.
    """
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    path = jvm.org.apache.hadoop.fs.Path(spark_path(location))
    files = path.getFileSystem(spark.sparkContext._jsc.hadoopConfiguration())
    return bool(files.getScheme() == "file")


def path_on_disk(path: str) -> str:
    """The path of a file on a disk, of what Spark writes for it: ``file:/faces/1.png``."""
    return "/" + path.removeprefix("file:").lstrip("/")


def state_on_disk(path: str) -> tuple[int | None, int | None]:
    """Look at a file on a disk, for what Spark's listing says of it.

    Args:
        path: As Spark writes it.

    Returns:
        Its ``length`` in bytes, None where there is no such file that can be looked at, and
        its ``modificationTime`` in microseconds, None of an empty file as well.
    """
    try:
        status = os.stat(path_on_disk(path))
    except OSError:
        return None, None
    # Java has whole milliseconds.
    return status.st_size, status.st_mtime_ns // 1_000_000 * 1_000 if status.st_size else None


def spark_path(location: str) -> str:
    """Return a location for Spark's readers, which take every path for a glob.

    A local path that exists is meant literally, brackets and all, and relative to
    the current folder of Python, not of Java. Anything else may be a glob or lie
    elsewhere, and goes on as it is.

    Args:
        location: As for ``local_path``.

    Returns:
        A path, glob or URI.
    """
    path = local_path(location)
    if path is None:
        return str(Path(location).expanduser()) if location.startswith("~") else location
    # The scheme is kept as it was: without one Spark uses its default file system.
    scheme = "file:" if location.startswith("file:/") else ""
    return scheme + _GLOB_CHARACTERS.sub(r"\\\1", str(path))
