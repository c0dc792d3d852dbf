"""Files of leases, on a disk or on another file system of Hadoop."""

from __future__ import annotations

import errno
import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from glasses_spark.runtime import hadoop
from glasses_spark.runtime.location import path_on_disk

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


# Name of a lease. Other files in the folder are somebody else's.
_NAME: Final = re.compile("[0-9a-f]{32}")


class LeaseFiles(Protocol):
    """Small text files in one folder."""

    def names(self) -> list[str]:
        """Return the names of the files; none if the folder does not exist."""

    def read(self, name: str) -> str:
        """Return the text of a file; a missing one is a FileNotFoundError."""

    def write(self, name: str, text: str) -> None:
        """Write a file, and the folder if it does not exist."""

    def modified(self, name: str) -> float:
        """Return when a file was written, in seconds by the file system's clock."""

    def delete(self, name: str) -> None:
        """Delete a file if it exists."""


def open_folder(spark: SparkSession, folder: str) -> LeaseFiles:
    """Return the files of a folder.

    Args:
        spark: The running session.
        folder: URI of the folder.
    """
    if folder.startswith("file:"):
        return _DiskFiles(Path(path_on_disk(folder)))
    return _HadoopFiles(spark, folder)


class _DiskFiles:
    """Files on a disk: Spark need not run, and a process can delete them at its end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def names(self) -> list[str]:
        self._require_no_link()
        with suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            return [
                entry.name
                for entry in entries
                if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
            ]
        return []

    def read(self, name: str) -> str:
        return (self._folder / name).read_text(encoding="utf-8")

    def write(self, name: str, text: str) -> None:
        self._require_no_link()
        self._folder.mkdir(parents=True, exist_ok=True)
        # Renamed into place: nobody reads half a file.
        part = self._folder / f".{name}"
        part.write_text(text, encoding="utf-8")
        part.replace(self._folder / name)

    def modified(self, name: str) -> float:
        return (self._folder / name).stat().st_mtime

    def delete(self, name: str) -> None:
        self._require_no_link()
        (self._folder / name).unlink(missing_ok=True)

    def _require_no_link(self) -> None:
        # A store may come from a stranger, and old files in this folder are deleted.
        if self._folder.is_symlink():
            raise NotADirectoryError(
                errno.ENOTDIR, "expected a folder for leases, found a link", str(self._folder)
            )


class _HadoopFiles:
    """Files on another file system."""

    def __init__(self, spark: SparkSession, folder: str) -> None:
        self._spark, self._folder = spark, folder

    def names(self) -> list[str]:
        if not hadoop.exists(self._spark, self._folder):
            return []
        names = hadoop.list_names(self._spark, self._folder)
        return [name for name in names if _NAME.fullmatch(name)]

    def read(self, name: str) -> str:
        return hadoop.read_text(self._spark, f"{self._folder}/{name}")

    def write(self, name: str, text: str) -> None:
        hadoop.write_text(self._spark, f"{self._folder}/{name}", text)

    def modified(self, name: str) -> float:
        return hadoop.modified(self._spark, f"{self._folder}/{name}")

    def delete(self, name: str) -> None:
        hadoop.delete(self._spark, f"{self._folder}/{name}")
