"""Rotation: the sixth of the long tests that a commit runs."""

from __future__ import annotations

import shutil
import subprocess
import zlib
from functools import cache
from pathlib import Path
from typing import Final

from tests.paths import ROOT

PARTS: Final = 6

# Tests that take some seconds, one to a line, or a file, for all of its tests with the marker
# `slow`. A test process of two on two cores is the measure:
# `python -m pytest -n 2 --durations=200`. All tests of a file belong to one part, because they
# share what their fixtures made.
_SLOW: Final = Path(__file__).with_name("slow_tests.txt")


@cache
def part(parts: int = PARTS) -> int:
    """Return which of some parts the commit in the working folder runs, from 0; 0 outside a clone.

    So all processes of a test run select the same one, and commits in a row likely different
    ones.
    """
    if shutil.which("git") is None:
        return 0
    command = ["git", "rev-parse", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return int(done.stdout.strip()[:8] or "0", 16) % parts


def is_due(test: str, *, rotated: bool, slow: bool) -> bool:
    """Return whether this commit runs a test.

    Args:
        test: Its id, such as ``tests/test_seeds.py::test_a_name[0]``.
        rotated: Whether it has the marker ``rotated``.
        slow: Whether it has the marker ``slow``.
    """
    name = test.partition("[")[0]
    file = name.partition("::")[0]
    listed = _slow_tests()
    if not rotated and name not in listed and not (slow and file in listed):
        return True
    return zlib.crc32(file.encode()) % PARTS == part()


@cache
def _slow_tests() -> frozenset[str]:
    return frozenset(_SLOW.read_text(encoding="utf-8").split())
