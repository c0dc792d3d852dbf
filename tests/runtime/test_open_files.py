"""Tests for glasses_spark.runtime.open_files, in processes with limits of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from glasses_spark.runtime.open_files import reserve_files

resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
print(reserve_files({count}), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def reserve(count: int, *, soft: int, hard: int) -> tuple[int, int]:
    """Return what a process with these limits may open, and its soft limit afterwards."""
    program = PROGRAM.format(soft=soft, hard=hard, count=count)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    available, limit = map(int, done.stdout.split())
    return available, limit


def test_a_limit_that_is_high_enough_stays() -> None:
    assert reserve(100, soft=1024, hard=4096) == (100, 1024)


def test_a_low_limit_is_raised_to_what_is_needed() -> None:
    available, limit = reserve(1000, soft=1024, hard=4096)
    assert available == 1000
    assert 1024 < limit < 1400


@pytest.mark.parametrize("hard", [1024, 1100])
def test_the_hard_limit_is_not_exceeded(hard: int) -> None:
    available, limit = reserve(2000, soft=1024, hard=hard)
    assert limit == hard
    assert 700 < available < hard - 256
