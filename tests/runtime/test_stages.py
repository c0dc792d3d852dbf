"""Tests for glasses_spark.runtime.stages; tests/training/test_user_errors.py has those of users."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from glasses_spark import GlassesEvaluator, GlassesModel
from glasses_spark.errors import ConfigError
from tests.cluster.fits import PYTHONPATH
from tests.paths import ROOT
from tests.runtime.processes import run
from tests.training.tiny import tiny_estimator


def test_names_in_place_of_params_are_refused(spark: SparkSession) -> None:
    frame = spark.range(1)
    for call in (tiny_estimator().fit, GlassesModel().transform, GlassesEvaluator().evaluate):
        with pytest.raises(ConfigError, match="expected Params as the keys of a mapping, got 'x'"):
            call(frame, {"x": 1})
    with pytest.raises(ConfigError, match="got 'x'"):
        tiny_estimator().fit(frame, [{}, {"x": 1}])


@pytest.mark.slow
@pytest.mark.rotated
def test_the_end_of_spark_is_told(tmp_path: Path) -> None:
    program = ROOT / "tests" / "runtime" / "ended_sessions.py"
    done = run([sys.executable, str(program)], cwd=tmp_path, PYTHONPATH=PYTHONPATH)
    outcomes = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert outcomes == [
        [
            "SetupError",
            "the SparkSession was stopped (during the fit). Start a session, and read the data "
            "again",
        ],
        [
            "SetupError",
            "fit: the SparkSession of this DataFrame was stopped. Start a session, and read the "
            "data again",
        ],
        [
            "SetupError",
            "the JVM of Spark has ended (during the fit). Start a session, and read the data again",
        ],
    ], done.stderr
