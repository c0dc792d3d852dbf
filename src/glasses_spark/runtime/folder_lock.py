"""Folder lock: one process of this machine at a time uses a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def locked_folder(folder: Path | None, taken: Exception) -> Iterator[None]:
    """Hold the lock of a folder for a block. The system frees it when the process ends.

    Args:
        folder: The folder. It and its parent are made if they are missing, and removed after the
            block if they are empty. None, for one that is not on a disk, has no lock.
        taken: Raised if another process holds the lock.

    Raises:
        OSError: The folder cannot be made or opened.
    """
    if folder is None:
        yield
        return
    missing = [path for path in (folder, folder.parent) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # Some file systems have no locks.
        with suppress(OSError):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise taken from None
        yield
    finally:
        os.close(handle)
        for path in missing:
            with suppress(OSError):  # it has contents
                path.rmdir()
