"""Programs that see disks which are mounted for them alone."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from functools import cache

import pytest

from tests.paths import ROOT

_UNSHARE = ["unshare", "-m" if os.geteuid() == 0 else "-rm"]


@cache
def _can_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    command = [*_UNSHARE, "mount", "-t", "tmpfs", "x", "/mnt"]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


needs_mounts = pytest.mark.skipif(not _can_mount(), reason="this user cannot mount disks")


def run_mounted(mount: str, program: str, *arguments: str) -> str:
    """Run a Python program after a shell command that mounts, and return what it prints."""
    python = shlex.join([sys.executable, "-c", program, *arguments])
    done = subprocess.run(
        [*_UNSHARE, "sh", "-c", f"{mount} && exec {python}"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
