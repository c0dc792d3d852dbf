"""Tests for glasses_spark.runtime.worker_python, and of the Python in plain Spark sessions."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from glasses_spark.runtime.worker_python import require_worker_python
from tests.cluster.fits import PYTHONPATH
from tests.paths import ROOT
from tests.runtime.processes import lay_out_spark, run

PROGRAM = ROOT / "tests" / "runtime" / "plain_sessions.py"
NOWHERE = "/nowhere/python3"


def outcomes(master: str, pythons: list[str], folder: Path, **variables: str) -> list[Any]:
    command = [sys.executable, str(PROGRAM), master, *pythons]
    process = run(command, cwd=folder, PYTHONPATH=PYTHONPATH, **variables)
    lines = [line for line in process.stdout.splitlines() if line.startswith("[")]
    assert len(lines) == len(pythons), process.stderr
    return [json.loads(line) for line in lines]


def script(path: Path, command: str) -> Path:
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)
    return path


def test_the_python_of_local_mode_is_that_of_the_driver_and_needs_no_check(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spark.sparkContext, "pythonExec", NOWHERE)
    require_worker_python(spark, slots=2)


@pytest.mark.slow
@pytest.mark.rotated
def test_a_plain_session_of_local_mode_trains_whatever_python_spark_would_take(
    tmp_path: Path,
) -> None:
    script(tmp_path / "python3", "exit 1")
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    assert outcomes("local[2]", ["", NOWHERE], tmp_path, PATH=path) == [[8], [8]]


@pytest.mark.slow
@pytest.mark.rotated
def test_a_cluster_whose_python_cannot_train_is_refused_before_the_fit(tmp_path: Path) -> None:
    # The executors write to `work` in Spark's home.
    lay_out_spark(tmp_path / "spark")
    bare = script(tmp_path / "bare", f'exec {sys.executable} -S "$@"')  # without site-packages

    missing, lacking = outcomes(
        "local-cluster[1,1,1024]",
        [NOWHERE, str(bare)],
        tmp_path,
        SPARK_HOME=str(tmp_path / "spark"),
    )

    assert missing[0] == lacking[0] == "SetupError"
    assert missing[1].startswith(f"the Python of Spark's workers, {NOWHERE}, cannot be started")
    assert "Set PYSPARK_PYTHON" in missing[1]
    assert "PYSPARK_PYTHON to a Python that has" in lacking[1]
    assert "\n" not in missing[1] + lacking[1]
