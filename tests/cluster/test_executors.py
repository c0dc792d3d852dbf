"""Tests for glasses_spark.runtime.executors, on a standalone cluster."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cluster.fits import PYTHONPATH
from tests.cluster.standalone import Cluster, run_driver

pytestmark = [pytest.mark.slow, pytest.mark.rotated]


def starve(cluster: Cluster, memory: str) -> list[str]:
    """Return what a driver prints that asks for executors with some memory."""
    program = str(Path(__file__).with_name("starved.py"))
    done = run_driver(
        cluster, [sys.executable, program, cluster.master, memory], PYTHONPATH=PYTHONPATH
    )
    assert done.returncode == 0, done.stderr
    return list(done.stdout.splitlines())


def test_executors_that_no_worker_has_room_for_are_named_with_what_the_workers_have(
    cluster: Cluster,
) -> None:
    first, second, error = starve(cluster, "90g")
    wanted = f"no executor has a free task slot on {cluster.master} after "
    for line, seconds in ((first, 2), (second, 4), (error.removeprefix("error: "), 5)):
        assert line.startswith(f"{wanted}{seconds} s: asked for executors of all cores of a worker")
        assert "and 90g of memory (spark.executor.memory)" in line
        assert line.count("127.0.0.1: ") == 2
        assert "700 of 700 MiB free" in line
    assert first.endswith("Waiting for it, 5 s (spark.executor_timeout)")
    assert error.endswith("Ask for less, or raise spark.executor_timeout")


def test_executors_with_room_are_awaited_in_silence(cluster: Cluster) -> None:
    assert starve(cluster, "600m") == ["slots"]
