"""Test of a fit that loses a host of its cluster for good."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cluster.fits import PYTHONPATH, ROWS, command
from tests.cluster.standalone import Host, run_driver, standalone

# It waits for a minute; `tests/training/test_hosting.py` tests the parts without a cluster.
pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]

EPOCHS = 4


def test_synchronous_workers_of_a_lost_host_go_to_another_and_train_the_same_weights(
    tmp_path: Path,
) -> None:
    fit = {"mode": "synchronous", "frequency": "batch", "epochs": EPOCHS, "num_workers": 2}
    with standalone(
        tmp_path, driver=Host(), workers=[Host(), Host()], cores=1, settings={}
    ) as cluster:
        process = run_driver(
            cluster,
            command(cluster.master, fit, {**fit, "kill": "host"}),
            PYTHONPATH=PYTHONPATH,
        )
    assert process.returncode == 0, process.stderr
    result = json.loads(process.stdout.splitlines()[-1])
    undisturbed, disturbed = result["fits"]
    assert result["slots"] == 1
    assert len(disturbed["killed"]) == 1
    assert disturbed["rows"] == undisturbed["rows"] == [ROWS] * EPOCHS
    assert disturbed["weights"] == undisturbed["weights"]
    assert (undisturbed["last_tasks"], disturbed["last_tasks"]) == (2, 1)
