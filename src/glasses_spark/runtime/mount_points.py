"""Mount points: folders that cannot be renamed or replaced, only filled."""

from __future__ import annotations

import os
from pathlib import Path


def is_mount_point(folder: Path) -> bool:
    """Return whether a file system, or a folder of one, is mounted at a path."""
    # `os.path.ismount` does not see a folder that is mounted from the same file system.
    return os.path.ismount(folder) or str(folder) in _mount_points()


def _mount_points() -> set[str]:
    """Return the mount points of this process; empty where the system does not tell."""
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return set()
    points = [line.split()[4] for line in lines]
    # White space and backslashes are octal numbers.
    return {os.fsdecode(point.decode("unicode_escape").encode("latin-1")) for point in points}
