"""Rotation: the third of some long tests that a commit runs."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from typing import Final

from tests.paths import ROOT

PARTS: Final = 3


@cache
def part(parts: int = PARTS) -> int:
    """Return which part the commit in the working folder runs, from 0; 0 outside a clone.

    So all processes of a test run select the same one, and commits in a row likely different
    ones.
    """
    if shutil.which("git") is None:
        return 0
    command = ["git", "rev-parse", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return int(done.stdout.strip()[:8] or "0", 16) % parts
