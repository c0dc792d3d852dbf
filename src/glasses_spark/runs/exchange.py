"""Exchange of folders: the new one in the place of the old one, in one step where possible."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path
from typing import Final

# Of Linux, see renameat2(2).
_AT_FDCWD: Final = -100
_RENAME_EXCHANGE: Final = 2

# Errors that say that a folder cannot be renamed, although files in it may be written: mount
# points, lower layers of an overlay, parent folders of others.
_CANNOT_RENAME: Final = (
    errno.EBUSY,
    errno.EXDEV,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
)


def replace_folder(new: Path, target: Path, old: Path) -> None:
    """Put a folder in the place of another one, which goes to ``old`` or in the place of ``new``.

    A kill at any time leaves both, under two of the three paths, and calling the function again
    completes the work.

    Args:
        new: The new folder; on the file system of the target.
        target: The place; may be missing or empty.
        old: A free path.

    Raises:
        OSError: The target cannot be renamed. It is as before.
    """
    if target.is_dir():
        if exchange(new, target):
            return
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise


def cannot_be_renamed(error: OSError) -> bool:
    """Return whether the contents of a folder may be replaced although it cannot be renamed."""
    return error.errno in _CANNOT_RENAME


def exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; return False where the system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    paths = (os.fsencode(one), os.fsencode(other))
    return bool(rename(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], _RENAME_EXCHANGE) == 0)


def replace_contents(
    new: Path, target: Path, old: Path, *, ours: Collection[str], moved_old: Callable[[], None]
) -> None:
    """Replace the contents of a folder, one by one.

    Args:
        new: Folder with the new contents; empty afterwards.
        target: The folder.
        old: Folder for its contents. If it exists, an earlier call was killed.
        ours: Names to replace. Other contents stay.
        moved_old: Called once the old contents have been moved, and not again by a later call.

    Raises:
        OSError: The target is not writable. The contents are in the three folders.
    """
    old.mkdir(exist_ok=True)
    for name in sorted(set(os.listdir(target)) & set(ours)):
        _move(target / name, old / name)
    moved_old()
    finish_contents(new, target)


def finish_contents(new: Path, target: Path) -> None:
    """Move the new contents to a folder from which the old ones have been moved."""
    for name in sorted(os.listdir(new)):
        _move(new / name, target / name)
    sync(target)


def keep_others(old: Path, target: Path, *, ours: Collection[str]) -> None:
    """Move what is not ours from the old folder to the new one.

    Raises:
        OSError: Something cannot be moved.
    """
    with suppress(FileNotFoundError):  # another process does the same
        for name in sorted(set(os.listdir(old)) - set(ours)):
            if not os.path.lexists(target / name):
                (old / name).rename(target / name)


def sync_tree(folder: Path) -> None:
    """Write a folder with all its contents to the disk, so that it outlives a loss of power."""
    for path, _, names in os.walk(folder):
        for name in names:
            sync(Path(path, name))
        sync(Path(path))


def sync(path: Path) -> None:
    """Write a file, or the names in a folder, to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems cannot sync folders.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(handle)


def _move(source: Path, target: Path) -> None:
    if os.path.lexists(target):  # a copy that was interrupted
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink()
    shutil.move(source, target)
