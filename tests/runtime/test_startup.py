"""Tests for glasses_spark.runtime.startup; the tests of each optimization have its switch."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from glasses_spark.runtime.startup import Optimization, is_enabled
from tests.paths import ROOT
from tests.runtime.processes import run

# Fits and scores as a user does, after a warm-up as the pipeline does it.
PROGRAM = """
import json
from glasses_spark import build_estimator, build_model, spark_session
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.python_workers.warm_up import warm_up

with spark_session(master="local[1]", keep_classes=True) as spark:
    threads = warm_up(spark, num_workers=1)
    keras = import_keras()
    layers = [keras.Input((2,)), keras.layers.Dense(1, activation="sigmoid")]
    model = build_model(layers, "sgd", metrics=())
    rows = [([float(n), 1.0], float(n % 2)) for n in range(8)]
    frame = spark.createDataFrame(rows, "features array<float>, label double")
    fitted = build_estimator(model, 1, 2, categorical=False, num_workers=1).fit(frame)
    print(json.dumps({
        "scored": fitted.transform(frame).count(),
        "rows": fitted.history[0]["rows"],
        "warm-up": len(threads),
        "daemon": spark.sparkContext.getConf().get("spark.python.daemon.module"),
    }))
"""


@pytest.mark.parametrize("optimization", list(Optimization))
def test_only_the_value_0_disables_an_optimization(
    optimization: Optimization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(optimization, raising=False)
    assert is_enabled(optimization)
    monkeypatch.setenv(optimization, "1")
    assert is_enabled(optimization)
    monkeypatch.setenv(optimization, "0")
    assert not is_enabled(optimization)


@pytest.mark.parametrize("optimization", list(Optimization))
def test_the_documentation_lists_the_switch(optimization: Optimization) -> None:
    assert f"`{optimization}=0`" in (ROOT / "docs" / "performance.md").read_text()


@pytest.mark.slow
@pytest.mark.rotated
def test_a_fit_works_with_all_optimizations_off(tmp_path: Path) -> None:
    switches = {str(optimization): "0" for optimization in Optimization}

    done = run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM],
        cwd=tmp_path,
        XDG_CACHE_HOME=str(tmp_path / "cache"),
        CUDA_VISIBLE_DEVICES="-1",
        **switches,
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == {
        "scored": 8,
        "rows": 8,
        "warm-up": 0,
        "daemon": None,
    }
    assert not (tmp_path / "cache" / "glasses-spark" / "classes").exists()
