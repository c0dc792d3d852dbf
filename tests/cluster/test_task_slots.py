"""Tests of more workers than task slots, each on a Spark of its own."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from glasses_spark.runtime.machine import count_cores
from glasses_spark.training.schedule import share
from tests.cluster.fits import PYTHONPATH, ROWS, command
from tests.cluster.standalone import Cluster, clean_environment, run_driver

pytestmark = [pytest.mark.slow, pytest.mark.rotated]

SLOTS: Final = (1, 2, 4)

# With as many workers as cores or more, a worker computes on one thread whatever the slots.
WORKERS: Final = max(4, count_cores())

FITS: Final = [
    {"mode": "synchronous", "frequency": "batch", "num_workers": WORKERS},
    {"mode": "synchronous", "frequency": "epoch", "num_workers": WORKERS},
    {"mode": "asynchronous", "frequency": "batch", "num_workers": WORKERS},
]
MORE_FITS: Final = [
    {"mode": mode, "frequency": frequency, "num_workers": workers}
    for mode in ("synchronous", "asynchronous", "hogwild")
    for frequency in ("batch", "epoch")
    for workers in (1, 2, 4, 8)
]


def run(slots: int, fits: Sequence[Mapping[str, Any]], folder: Path) -> list[Any]:
    process = subprocess.run(
        command(f"local[{slots}]", *fits),
        capture_output=True,
        text=True,
        cwd=folder,
        env=clean_environment(PYTHONPATH=PYTHONPATH),
        timeout=280,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    result = json.loads(process.stdout.splitlines()[-1])
    assert result["slots"] == slots
    return list(result["fits"])


def require_equal(by_slots: Sequence[Sequence[Any]], fits: Sequence[Mapping[str, Any]]) -> None:
    for number, arguments in enumerate(fits):
        results = [fits[number] for fits in by_slots]
        workers = int(arguments["num_workers"])
        for slots, result in zip(SLOTS, results, strict=True):
            assert result["shares"] == [list(share(ROWS, workers))] * 2
            assert len(set(result["workers"])) == workers
            if slots == 1:
                assert result["staleness"] == 0
        if arguments["mode"] == "synchronous":
            assert len({result["weights"] for result in results}) == 1
            assert all(result["losses"] == results[0]["losses"] for result in results)


@pytest.fixture(scope="module")
def by_slots(tmp_path_factory: pytest.TempPathFactory) -> list[list[Any]]:
    return [run(slots, FITS, tmp_path_factory.mktemp("slots")) for slots in SLOTS]


def test_workers_use_their_rows_and_synchronous_weights_are_equal_whatever_the_slots(
    by_slots: list[list[Any]],
) -> None:
    require_equal(by_slots, FITS)


def test_a_cluster_trains_the_same_synchronous_weights(
    by_slots: list[list[Any]], cluster: Cluster
) -> None:
    process = run_driver(cluster, command(cluster.master, FITS[0]), PYTHONPATH=PYTHONPATH)
    assert process.returncode == 0, process.stderr
    (fit,) = json.loads(process.stdout.splitlines()[-1])["fits"]
    assert len(fit["executors"]) == 2
    assert fit["weights"] == by_slots[0][0]["weights"]


@pytest.mark.exhaustive
@pytest.mark.timeout(900)
def test_each_mode_frequency_and_number_of_workers(tmp_path: Path) -> None:
    require_equal([run(slots, MORE_FITS, tmp_path) for slots in SLOTS], MORE_FITS)
