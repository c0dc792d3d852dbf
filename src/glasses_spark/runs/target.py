"""Target of a run: where its results will be, and whether they can be written there."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from glasses_spark.errors import ConfigError
from glasses_spark.printable import printable
from glasses_spark.runs.exchange import sync
from glasses_spark.runtime.mount_points import is_mount_point
from glasses_spark.runtime.owned_folder import new_folder

# A run folder has a few MB, and a checkpoint three times the model.
_MIN_FREE_BYTES: Final = 32 << 20

# In bytes. File systems take 255; unfinished results have up to 40 more than the results.
_LONGEST_NAME: Final = 200

# Written for a try: free space does not tell of quotas.
_TRIED_BYTES: Final = 1 << 20

# Ends of the names of folders that are kept beside the results.
UNFINISHED: Final = "unfinished"
RESULTS: Final = "results"
PREVIOUS: Final = "previous"
_KEPT: Final = re.compile(rf"(?P<name>.+)-(?:{UNFINISHED}|{RESULTS}|{PREVIOUS})(?:-\d+)?")

# Names of folders with results that are not complete: the eight characters are those of Python's
# temporary folders. Earlier versions had old ones as well.
STAGING: Final = re.compile(r"\.(?P<name>.+)\.[a-z0-9_]{8}\.(?:new|old)")

_ADVICE: Final = {
    errno.EACCES: "Change the permissions, or use another folder",
    errno.EPERM: "Change the permissions, or use another folder",
    errno.EROFS: "Use a folder on another disk",
    errno.ENOSPC: "Free some space, or use a folder on another disk",
    errno.EDQUOT: "Free some space, or use a folder on another disk",
}


@dataclass(frozen=True)
class Target:
    """Where the results of a run will be.

    Attributes:
        folder: Absolute path without links.
        inside: Whether the contents of the folder are replaced, because the folder itself cannot
            be: it is a mount point, or its parent folder cannot be written.
    """

    folder: Path
    inside: bool = False

    @property
    def parent(self) -> Path:
        """Folder on the same file system for results that are not complete."""
        return self.folder if self.inside else self.folder.parent

    @property
    def name(self) -> str:
        """Name of the folder, for the names of others beside it."""
        return self.folder.name or "run"

    def is_staging(self, name: str) -> bool:
        """Return whether a name beside or in the folder is one of results that are not there."""
        found = STAGING.fullmatch(name) or _KEPT.fullmatch(name)
        return found is not None and found["name"] == self.name

    def beside(self, suffix: str) -> Path:
        """Return a free path beside the results, such as ``run-unfinished``."""
        path, number = self.parent / f"{self.name}-{suffix}", 1
        while os.path.lexists(path):
            number += 1
            path = self.parent / f"{self.name}-{suffix}-{number}"
        return path


def locate(folder: Path) -> Target:
    """Return the target for a folder; for a link, the folder that it leads to."""
    path = Path(os.path.realpath(folder))
    inside = path.is_dir() and (
        is_mount_point(path) or not os.access(path.parent, os.W_OK | os.X_OK)
    )
    return Target(path, inside)


def require_short_name(folder: Path) -> None:
    """Check that the names of folders beside the results can be made from theirs.

    Raises:
        ConfigError: The name is too long.
    """
    length = len(os.fsencode(folder.name))
    if length > _LONGEST_NAME:
        raise ConfigError(
            f"run.dir: expected a name of at most {_LONGEST_NAME} bytes, got {length}: "
            f"{printable(folder.name[:40])}... Use a shorter one"
        )


def try_target(folder: Path) -> None:
    """Try to write results to a folder: write, rename and remove a small folder there.

    Args:
        folder: The folder of the results. Nothing stays in it or beside it.

    Raises:
        ConfigError: It cannot be written; the message says why.
    """
    if folder.is_symlink() and not folder.exists():
        raise ConfigError(
            f"run.dir: {folder} is a link to {os.path.realpath(folder)}, which does not exist. "
            "Create that folder, or use another one"
        )
    target = locate(folder)
    created = _create_parents(target)
    try:
        _try_folder(target)
        _require_space(target)
    except OSError as error:
        place = "" if target.inside else f" in {target.parent}"
        raise ConfigError(
            f"run.dir: the results cannot be written to {folder}: {error.strerror}{place}. "
            f"{_ADVICE.get(error.errno or 0, 'Use another folder')}"
        ) from error
    finally:
        for path in created:
            path.rmdir()


def _create_parents(target: Target) -> list[Path]:
    """Create the missing parent folders; return them, the innermost first."""
    missing = [path for path in [target.parent, *target.parent.parents] if not path.exists()]
    created: list[Path] = []
    try:
        for path in reversed(missing):
            path.mkdir()
            created.insert(0, path)
        if not target.parent.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    except OSError as error:
        for path in created:
            path.rmdir()
        raise ConfigError(
            f"run.dir: cannot create {target.folder}: {error.strerror}. "
            f"{_ADVICE.get(error.errno or 0, 'Use another folder')}"
        ) from error
    return created


def _try_folder(target: Target) -> None:
    # A folder can only be moved by who may write to it.
    moved = target.folder.is_dir() and not target.inside
    if moved and not os.access(target.folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    tried = new_folder(f".{target.name}.", parent=target.parent, suffix=".new")
    try:
        with (tried.path / "tried").open("wb") as file:
            file.write(bytes(_TRIED_BYTES))
        sync(tried.path / "tried")
        renamed = tried.path.with_name(f"{tried.path.name.removesuffix('.new')}-.new")
        tried.path.rename(renamed)
        tried.path = renamed
        (renamed / "tried").unlink()
    finally:
        tried.remove()


def _require_space(target: Target) -> None:
    status = os.statvfs(target.parent)
    # Some network file systems tell nothing.
    if status.f_blocks and status.f_bavail * status.f_frsize < _MIN_FREE_BYTES:
        found, wanted = status.f_bavail * status.f_frsize >> 20, _MIN_FREE_BYTES >> 20
        raise OSError(errno.ENOSPC, f"found {found} MB of free space, wanted at least {wanted} MB")
