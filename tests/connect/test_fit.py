"""Tests of a fit under Spark Connect, whose parameter server lives in a task, on a real server."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from glasses_spark import GlassesEstimator, GlassesEvaluator
from glasses_spark.errors import ConfigError, SetupError, TrainingError, WorkerError
from glasses_spark.runtime.keras import import_keras
from tests.connect.server import SLOTS
from tests.training.tiny import ROWS, same_weights, separable, tiny_estimator, tiny_model

pytestmark = [pytest.mark.slow, pytest.mark.rotated]


def estimator_of(*, validation_split: float = 0.0, **changes: Any) -> GlassesEstimator:
    estimator = tiny_estimator(verbose=changes.pop("verbose", 0), **changes)
    estimator.setParams(validation_split=validation_split)
    return estimator


def rows_of(spark: SparkSession) -> DataFrame:
    x, y = separable(ROWS)
    rows = [(a.tolist(), float(b[0])) for a, b in zip(x, y, strict=True)]
    return spark.createDataFrame(rows, "features array<double>, label double").repartition(3)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"frequency": "batch"}, id="batch"),
        pytest.param({"frequency": "epoch", "num_workers": 3}, id="epoch, two workers in a task"),
        pytest.param({"frequency": "batch", "validation_split": 0.3}, id="validation"),
    ],
)
def test_synchronous_weights_and_history_equal_those_of_a_classic_session(
    spark: SparkSession, changes: dict[str, Any], request: pytest.FixtureRequest
) -> None:
    settings = {"mode": "synchronous", **changes}
    classic = estimator_of(**settings).fit(rows_of(spark))
    connect = request.getfixturevalue("connect")
    fitted = estimator_of(**settings).fit(rows_of(connect))
    assert same_weights(fitted, classic)
    assert [_numbers(record) for record in fitted.history] == [
        _numbers(record) for record in classic.history
    ]


def _numbers(record: dict[str, Any]) -> dict[str, Any]:
    """What does not depend on the clock."""
    shares = [(share["worker"], share["rows"]) for share in record["workers"]]
    return {**record, "workers": shares}


@pytest.mark.parametrize("mode", ["asynchronous", "hogwild"])
def test_asynchronous_workers_account_for_every_row(
    connect: SparkSession, capsys: pytest.CaptureFixture[str], mode: str
) -> None:
    start = tiny_model()
    model = estimator_of(
        model=start, mode=mode, frequency="batch", epochs=3, validation_split=0.2, verbose=2
    ).fit(rows_of(connect))
    assert [record["epoch"] for record in model.history] == [1, 2, 3]
    rows = {record["rows"] for record in model.history}
    assert len(rows) == 1
    assert 0 < rows.pop() < ROWS
    assert all(
        record["rows"] == sum(w["rows"] for w in record["workers"]) for record in model.history
    )
    assert not np.array_equal(model.weights[0], start.get_weights()[0])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" - ")[0] for line in lines] == ["Epoch 1/3", "Epoch 2/3", "Epoch 3/3"]
    assert model.summary.workers == SLOTS
    scored = model.transform(rows_of(connect))
    assert 0 <= GlassesEvaluator(metricName="accuracy").evaluate(scored) <= 1


def test_early_stopping_watches_the_validation_rows(connect: SparkSession) -> None:
    model = estimator_of(
        mode="synchronous",
        epochs=30,
        learning_rate=1.0,
        early_stopping=1,
        validation_split=0.3,
    ).fit(rows_of(connect))
    assert 1 < len(model.history) < 30


def test_the_number_of_workers_is_that_of_the_slots_by_default(connect: SparkSession) -> None:
    model = estimator_of(num_workers="auto", epochs=1).fit(rows_of(connect))
    assert model.summary.workers == SLOTS


def test_the_error_of_a_worker_comes_back_with_its_traceback(connect: SparkSession) -> None:
    bad = rows_of(connect).selectExpr("if(label > 0, null, features) AS features", "label")
    with pytest.raises(WorkerError, match=r"worker.* nulls") as error:
        estimator_of(epochs=1).fit(bad)
    assert "Traceback" in "".join(error.value.__notes__)


def test_an_error_of_the_parameter_server_comes_back_as_what_it_is(connect: SparkSession) -> None:
    with socket.socket() as occupied:
        occupied.bind(("127.0.0.1", 0))
        occupied.listen()
        port = occupied.getsockname()[1]
        with pytest.raises(SetupError, match=str(port)):
            estimator_of(epochs=1, parameter_server_port=port).fit(rows_of(connect))


def test_what_is_wrong_before_a_fit_is_said_before_it(connect: SparkSession) -> None:
    frame = rows_of(connect)
    with pytest.raises(TrainingError, match="expected rows to train on, got none"):
        tiny_estimator().fit(frame.where("label > 5"))
    callback = import_keras().callbacks.LambdaCallback()
    with pytest.raises(ConfigError, match="callbacks needs the driver in this process"):
        tiny_estimator(callbacks=[callback]).fit(frame)
    with pytest.raises(ConfigError, match="checkpoint_dir needs the driver in this process"):
        tiny_estimator(checkpoint_dir="/tmp/checkpoints").fit(frame)


def test_spark_mls_cross_validation_selects_the_better_model(connect: SparkSession) -> None:
    from pyspark.ml.tuning import CrossValidator, ParamGridBuilder

    estimator = estimator_of(epochs=1, num_workers=1, mode="synchronous")
    grid = ParamGridBuilder().addGrid(estimator.learning_rate, [0.001, 1000.0]).build()
    evaluator = GlassesEvaluator(metricName="accuracy")
    fitted = CrossValidator(
        estimator=estimator, estimatorParamMaps=grid, evaluator=evaluator, numFolds=2
    ).fit(rows_of(connect))
    assert len(fitted.avgMetrics) == 2
    assert fitted.bestModel.transform(rows_of(connect)).count() == ROWS


def test_an_estimator_is_saved_and_loaded(connect: SparkSession, tmp_path: Path) -> None:
    estimator = tiny_estimator(epochs=4)
    path = f"file:{tmp_path / 'estimator'}"
    estimator.save(path)
    estimator.write().overwrite().save(path)
    loaded = GlassesEstimator.load(path)
    assert loaded.get_epochs() == 4
    assert loaded.archive == estimator.archive
