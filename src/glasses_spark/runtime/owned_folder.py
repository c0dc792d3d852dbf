"""Owned folders: temporary folders that others may remove once their process has ended.

A process that is killed leaves its temporary folders behind. Each folder has a file on which
its process holds a lock, and the system releases the lock when the process ends, in whatever
way. So the next process can tell abandoned folders from those in use.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Final

# Beginning of the names of this package's folders in the temporary folder.
PREFIX: Final = "glasses-spark-"

# The file that is locked. It contains the host.
OWNER: Final = ".owner"

# A folder without an owner is a moment old, or its process was killed in that moment.
_GRACE_S: Final = 60.0

_process_folder: tuple[int, OwnedFolder] | None = None


class OwnedFolder:
    """A folder of this process.

    Args:
        path: The folder.
        handle: Descriptor of its locked file; None if the file system has no locks. Then no
            process considers the folder abandoned.
    """

    def __init__(self, path: Path, handle: int | None) -> None:
        self.path = path
        self._handle = handle

    def was_made_here(self) -> bool:
        """Return whether a process of this machine made it: others do not know its identity."""
        return self._handle is not None and _host_of(self._handle) is True

    def remove(self) -> None:
        """Remove the folder with all its contents, as far as possible."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.release()

    def release(self) -> None:
        """Give up the ownership; the folder stays."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def new_folder(prefix: str, *, parent: Path | None = None, suffix: str = "") -> OwnedFolder:
    """Create a folder that only this user can read.

    Args:
        prefix: Beginning of its name; the rest is random.
        parent: Parent folder; None for the temporary folder.
        suffix: End of its name.

    Raises:
        OSError: The folder cannot be created.
    """
    while True:
        path = Path(tempfile.mkdtemp(prefix=prefix, suffix=suffix, dir=parent))
        try:
            handle = os.open(path / OWNER, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except FileNotFoundError:
            continue  # removed in the moment without an owner
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:
            os.close(handle)
            return OwnedFolder(path, None)
        if _is_file_of(handle, path):
            os.write(handle, _this_host().encode())
            return OwnedFolder(path, handle)
        os.close(handle)


def claim(path: Path) -> OwnedFolder | None:
    """Take over a folder of this user whose process has ended.

    Returns:
        The folder, now owned by this process; None if its process lives, or may live: there
        are no locks, or it is of another host on a shared disk.
    """
    try:
        status = path.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            return None
        handle = os.open(path / OWNER, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_file_of(handle, path) and _is_of_this_host(handle):
            return OwnedFolder(path, handle)
    except OSError:
        pass
    os.close(handle)
    return None


def is_without_owner(path: Path) -> bool:
    """Return whether a folder has no owner, and is not one that is being created."""
    try:
        age = time.time() - path.lstat().st_mtime
        return not (path / OWNER).exists() and (age > _GRACE_S or any(path.iterdir()))
    except OSError:
        return False


@contextmanager
def owned_folder(name: str) -> Iterator[Path]:
    """Provide a folder in the temporary folder for a block, and remove it afterwards.

    Args:
        name: What it is for, as a part of its name.

    Yields:
        The folder. It contains a hidden file.
    """
    folder = new_folder(f"{PREFIX}{name}-")
    try:
        yield folder.path
    finally:
        folder.remove()


def process_folder() -> Path:
    """Return a folder in the temporary folder that is removed when this process exits.

    Raises:
        OSError: It cannot be created.
    """
    global _process_folder
    # A fork has a folder of its own.
    if _process_folder is None or _process_folder[0] != os.getpid():
        _process_folder = (os.getpid(), new_folder(PREFIX))
        atexit.register(_remove_process_folder, os.getpid())
    return _process_folder[1].path


def remove_abandoned_folders() -> None:
    """Remove the folders of this package in the temporary folder whose processes have ended."""
    with suppress(OSError):
        for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
            folder = claim(path)
            if folder is not None:
                folder.remove()
            elif is_without_owner(path):
                with suppress(OSError):
                    path.rmdir()  # only if it is empty


def _remove_process_folder(pid: int) -> None:
    if _process_folder is not None and _process_folder[0] == pid == os.getpid():
        _process_folder[1].remove()


def _is_file_of(handle: int, path: Path) -> bool:
    """Return whether a folder still exists, with the file that is locked."""
    try:
        return os.path.samestat(os.fstat(handle), os.stat(path / OWNER))
    except OSError:
        return False


def _is_of_this_host(handle: int) -> bool:
    found = _host_of(handle)
    return time.time() - os.fstat(handle).st_mtime > _GRACE_S if found is None else found


def _host_of(handle: int) -> bool | None:
    """Return whether the owner is a process of this host; None where the file does not say."""
    found = os.pread(handle, 1000, 0).decode(errors="replace").split()
    if len(found) != 2:
        return None
    return any(ours == theirs for ours, theirs in zip(_this_host().split(), found, strict=True))


@cache
def _this_host() -> str:
    """Return what identifies the running system, and the machine.

    Containers of one machine share the system, and its locks, but have names of their own. After
    a restart the machine has its name, and there are no locks of before.
    """
    return f"{_read('/proc/sys/kernel/random/boot_id')} {_read('/etc/machine-id')}-{_hostname()}"


def _hostname() -> str:
    return "".join(socket.gethostname().split())


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip() or "-"
    except OSError:
        # Never equal on two machines by chance.
        return f"-{_hostname()}"
