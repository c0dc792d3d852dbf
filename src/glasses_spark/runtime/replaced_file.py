"""Replaced file: a file that is written completely, or stays as it was."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glasses_spark.runtime.mount_points import is_mount_point


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """Provide a path for the new contents of a file, which replace it after the block.

    Args:
        path: The file; may be missing. The target of a link is replaced. What cannot be
            replaced is written to: a pipe, a device, a mounted file, a file in a folder that
            cannot be written.

    Yields:
        A path beside it with the same suffix. If the block fails, it is removed.

    Raises:
        OSError: The file cannot be replaced.
    """
    target = Path(os.path.realpath(path))
    may_replace = os.access(target.parent, os.W_OK | os.X_OK) and not is_mount_point(target)
    if is_stream(target) or (target.is_file() and not may_replace):
        yield target
        return
    part = target.with_name(f".{target.stem}.{uuid.uuid4().hex[:8]}.part{target.suffix}")
    try:
        yield part
        if target.is_file():
            shutil.copymode(target, part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def is_stream(path: Path) -> bool:
    """Return whether a path is a pipe or device, such as ``/dev/stdout``."""
    return path.exists() and not path.is_file() and not path.is_dir()
