"""Files under Spark Connect: what its queries tell of them, and its one way to delete them.

The client has no Hadoop file system, and its disk may not be the server's.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

# Not imported here: locations are also used before Spark is found and started.
if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/")
_GLOB_CHARACTERS: Final = re.compile(r"([\\\[\]{}*?])")


def exists(spark: SparkSession, location: str) -> bool:
    """Return whether a file or folder exists at a path or URI."""
    from pyspark.errors import AnalysisException

    try:
        _ = _open(spark, literal(location)).schema  # the server looks now
    except AnalysisException as error:
        if error.getCondition() == "PATH_NOT_FOUND":
            return False
        raise
    return True


def is_disk(spark: SparkSession, location: str) -> bool:
    """Return whether a path or URI is on a local disk, by the server's default file system.

    Args:
        spark: The running session.
        location: Path, glob or URI; without a scheme, of files that exist.
    """
    if scheme := _SCHEME.match(location):
        return scheme[1] == "file"
    return all(name.startswith("file:") for name in _open(spark, location).inputFiles())


def list_names(spark: SparkSession, location: str) -> list[str]:
    """Return the sorted names of what a folder holds, without empty folders.

    Names that begin with ``_`` or ``.`` are missing, as in all of Spark's queries.
    """
    folder = _SCHEME.sub("/", location) if "://" not in location else urlsplit(location).path
    folder = "/" + folder.strip("/") + "/"
    files = _open(spark, literal(location)).inputFiles()
    paths = (unquote(urlsplit(name).path) for name in files)
    return sorted({path.removeprefix(folder).partition("/")[0] for path in paths})


def delete(location: str) -> None:
    """Delete a file, or a folder with all its contents, if it exists."""
    from pyspark.ml.connect.readwrite import RemoteMLWriter

    # What the server does before it saves a model of Spark ML over another one.
    RemoteMLWriter.handleOverwrite(location, True)


def literal(location: str) -> str:
    """Escape the characters of a location that Spark's readers would take for a glob."""
    return _GLOB_CHARACTERS.sub(r"\\\1", location)


def _open(spark: SparkSession, location: str) -> Any:
    reader = spark.read.format("binaryFile").option("recursiveFileLookup", "true")
    return reader.load(location)
