"""Checkpoint folder: the last checkpoints of a fit, on this machine or at a URI."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from glasses_spark.errors import DataError
from glasses_spark.runtime import hadoop
from glasses_spark.runtime.location import local_folder
from glasses_spark.runtime.owned_folder import owned_folder
from glasses_spark.training.checkpoint.archive import Arrays, read_archive, write_archive

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)

# Older checkpoints are deleted. The second one is used if the last one is damaged.
KEPT: Final = 2

# The number of the checkpoint and the SHA-256 checksum of the file: a file is complete exactly if
# its contents have the checksum in its name.
_NAME: Final = re.compile(r"checkpoint-([0-9]{8,18})-([0-9a-f]{64})\.zip")

# Prefix of the folders, and form of the names, of files that are not complete.
_STAGING: Final = "glasses-spark-checkpoint-"
_PART: Final = re.compile(rf"\.{_NAME.pattern}\.part")


class CheckpointFolder:
    """Writes and reads the checkpoints of one fit.

    Args:
        spark: Session with access to the location.
        location: Folder or URI. It is created by the first checkpoint. Other files in it are
            left alone.

    Attributes:
        location: Folder or URI, without a slash at its end.
    """

    def __init__(self, spark: SparkSession, location: str) -> None:
        self._spark = spark
        self.location = location.rstrip("/") or location
        self._folder = local_folder(location)

    def write(self, manifest: Mapping[str, Any], arrays: Arrays) -> None:
        """Write a checkpoint, and delete all but the last ones.

        Whatever happens meanwhile, the folder has the checkpoints of before or the new one as
        well, each of them complete.

        Raises:
            OSError: The file system refused, for example because it is full.
        """
        self._delete_leftovers()
        before = self._names()
        number = max((_number(name) for name in before), default=0) + 1
        with self._staging() as staging:
            file = Path(staging) / "checkpoint.zip"
            write_archive(file, manifest, arrays)
            name = f"checkpoint-{number:08d}-{_checksum(file)}.zip"
            self._publish(file, name)
        for old in sorted(before, key=_number)[: -(KEPT - 1) or None]:
            self._delete(old)

    def newest(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[np.generic]]] | None:
        """Return manifest and arrays of the last complete checkpoint; None if there is none."""
        unreadable: tuple[type[Exception], ...] = (*hadoop.error_types(), DataError)
        for name in sorted(self._names(), key=_number, reverse=True):
            with owned_folder("checkpoint") as staging:
                try:
                    file = self._fetch(name, staging)
                    if _checksum(file) != _match(name)[2]:
                        raise DataError("its contents do not have its checksum")
                    return read_archive(file)
                except unreadable as error:
                    logger.warning(
                        "skipped the damaged checkpoint %s in %s: %s", name, self.location, error
                    )
        return None

    def is_empty(self) -> bool:
        """Return whether there is no checkpoint."""
        return not self._names()

    def clear(self) -> None:
        """Delete all checkpoints."""
        for name in self._names():
            self._delete(name)

    def _names(self) -> list[str]:
        names = [name for name in self._contents() if _NAME.fullmatch(name)]
        if self._folder is None:
            return names
        # Reading a pipe or a device would not end, and a folder cannot be deleted as a file.
        return [name for name in names if (self._folder / name).is_file()]

    def _contents(self) -> list[str]:
        if self._folder is not None:
            return os.listdir(self._folder) if self._folder.is_dir() else []
        exists = hadoop.exists(self._spark, self.location)
        return hadoop.list_names(self._spark, self.location) if exists else []

    def _delete_leftovers(self) -> None:
        """Delete what a killed process has left; no other one writes to the folder meanwhile."""
        for name in self._contents():
            if self._folder is not None and name.startswith(_STAGING):
                shutil.rmtree(self._folder / name, ignore_errors=True)
            elif self._folder is None and _PART.fullmatch(name):
                self._delete(name)

    def _staging(self) -> AbstractContextManager[str | Path]:
        """Provide a folder for files that are not complete: a local file is renamed from it."""
        if self._folder is None:
            return owned_folder("checkpoint")
        self._folder.mkdir(parents=True, exist_ok=True)
        return TemporaryDirectory(prefix=_STAGING, dir=self._folder)

    def _publish(self, file: Path, name: str) -> None:
        if self._folder is None:
            # Copying is not atomic everywhere; renaming is, except in object stores, which show
            # complete objects only.
            part = f"{self.location}/{_part_of(name)}"
            hadoop.delete(self._spark, part)
            hadoop.put(self._spark, file, part)
            hadoop.move(self._spark, part, f"{self.location}/{name}")
            return
        _sync(file)
        file.replace(self._folder / name)
        _sync(self._folder)

    def _fetch(self, name: str, staging: Path) -> Path:
        if self._folder is not None:
            return self._folder / name
        hadoop.get(self._spark, f"{self.location}/{name}", staging / name)
        return staging / name

    def _delete(self, name: str) -> None:
        if self._folder is not None:
            (self._folder / name).unlink(missing_ok=True)
        else:
            hadoop.delete(self._spark, f"{self.location}/{name}")


def _part_of(name: str) -> str:
    return f".{name}.part"


def _match(name: str) -> re.Match[str]:
    match = _NAME.fullmatch(name)
    assert match is not None
    return match


def _number(name: str) -> int:
    return int(_match(name)[1])


def _checksum(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Write a file or folder to the disk, so that it outlives a loss of power."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
