"""Torture test: killed drivers, JVMs, executors and Python workers lose nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from tests.cluster.standalone import Cluster
from tests.cluster.torture import (
    DRIVER,
    EXECUTOR,
    JVM,
    PYTHON_WORKER,
    Torture,
    epochs_for,
)
from tests.cluster.torture_fit import ROWS, fit, frame

pytestmark = [pytest.mark.slow, pytest.mark.rotated]

# The long form is benchmarks/torture.py.
DEATHS = (PYTHON_WORKER, EXECUTOR, DRIVER, PYTHON_WORKER, JVM, EXECUTOR)


def test_a_fit_whose_processes_are_killed_has_the_weights_of_one_in_peace(
    cluster: Cluster, spark: SparkSession, tmp_path: Path
) -> None:
    epochs = epochs_for(len(DEATHS))
    settings = {"mode": "synchronous", "frequency": "batch", "epochs": epochs}
    result, kills = Torture(cluster, tmp_path, settings).run(DEATHS, seed=3)
    assert [kill.victim for kill in kills] == list(DEATHS)
    assert result == fit(frame(spark), settings, pause=False)
    assert result["rows"] == [[ROWS // 2] * 2] * epochs
