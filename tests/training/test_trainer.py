"""Tests for glasses_spark.training.trainer, on a Spark with two task slots."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark import GlassesModel
from glasses_spark.errors import TrainingError, WorkerError
from glasses_spark.runtime.keras import import_keras
from tests.training.tiny import ROWS, same_weights, tiny_estimator


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["synchronous", "asynchronous", "hogwild"])
@pytest.mark.parametrize("frequency", ["batch", "epoch"])
def test_a_fit_uses_every_row_in_every_epoch(frame: DataFrame, mode: str, frequency: str) -> None:
    fitted = tiny_estimator(mode=mode, frequency=frequency, epochs=3).fit(frame)
    assert [epoch["rows"] for epoch in fitted.history] == [ROWS] * 3
    assert all(
        [worker["rows"] for worker in epoch["workers"]] == [21, 22] for epoch in fitted.history
    )
    assert all({"loss", "accuracy"} <= epoch.keys() for epoch in fitted.history)
    assert fitted.transform(frame).where("prediction[0] BETWEEN 0 AND 1").count() == ROWS


@pytest.mark.slow
def test_synchronous_fits_are_equal_for_all_partitions_of_the_input(
    frame: DataFrame,
) -> None:
    fits = [
        tiny_estimator(mode="synchronous").fit(rows)
        for rows in (frame, frame.coalesce(1), frame.orderBy(F.rand(3)).repartition(5))
    ]
    assert same_weights(fits[0], fits[1])
    assert same_weights(fits[0], fits[2])


@pytest.mark.slow
def test_one_asynchronous_worker_is_deterministic(frame: DataFrame) -> None:
    first, second = (tiny_estimator(num_workers=1).fit(frame) for _ in range(2))
    assert same_weights(first, second)


@pytest.mark.slow
def test_validation_rows_are_not_trained_on_and_give_metrics(frame: DataFrame) -> None:
    marked = frame.withColumn("is_validation", F.col("features").cast("string") < "[-0.5")
    rows = marked.where("is_validation").collect()
    fitted = tiny_estimator(mode="synchronous", validationIndicatorCol="is_validation").fit(marked)
    assert 0 < len(rows) < ROWS
    assert [epoch["rows"] for epoch in fitted.history] == [ROWS - len(rows)] * 2
    x = np.array([row.features.toArray() for row in rows])
    y = np.array([row.label for row in rows])
    model = fitted.keras_model()
    model.compile(loss="binary_crossentropy", metrics=["accuracy"])
    loss, accuracy = model.evaluate(x, y[:, None], verbose=0)
    assert fitted.history[-1]["val_loss"] == pytest.approx(loss, abs=1e-5)
    assert fitted.history[-1]["val_accuracy"] == pytest.approx(accuracy)


@pytest.mark.slow
def test_class_weights_have_the_effect_of_sample_weights(frame: DataFrame) -> None:
    weighted = frame.withColumn("w", F.when(F.col("label") == 1.0, 3.0).otherwise(1.0))
    by_class = tiny_estimator(mode="synchronous", class_weight={1: 3.0}).fit(frame)
    by_row = tiny_estimator(mode="synchronous", weightCol="w").fit(weighted)
    plain = tiny_estimator(mode="synchronous").fit(frame)
    for a, b, c in zip(by_class.weights, by_row.weights, plain.weights, strict=True):
        assert a == pytest.approx(b, abs=1e-5)
        assert np.abs(a - c).max() > 1e-5


@pytest.mark.slow
def test_a_fit_is_the_same_after_a_transform_with_other_threads(spark: SparkSession) -> None:
    from glasses_spark import build_cnn

    generator = np.random.default_rng(0)
    rows = [
        (bytearray(generator.integers(0, 256, 48 * 48).astype(np.uint8).tobytes()), float(n % 2))
        for n in range(40)
    ]
    frame = spark.createDataFrame(rows, "features binary, label double").cache()

    def fit() -> GlassesModel:
        cnn = build_cnn(48, 48)
        estimator = tiny_estimator(
            model=cnn, mode="synchronous", num_workers=1, epochs=1, batch_size=20
        )
        fitted: GlassesModel = estimator.fit(frame)
        return fitted

    before = fit()
    assert before.transform(frame).count() == 40  # in processes of one thread, which Spark keeps
    assert same_weights(before, fit())


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["synchronous", "asynchronous"])
def test_more_workers_than_slots_share_tasks(frame: DataFrame, mode: str) -> None:
    fitted = tiny_estimator(mode=mode, num_workers=3, epochs=1).fit(frame)
    assert [worker["rows"] for worker in fitted.history[0]["workers"]] == [14, 14, 15]


@pytest.mark.slow
def test_an_error_in_a_worker_is_raised_by_fit_which_stops_server_and_job(
    frame: DataFrame,
) -> None:
    before = {thread.name for thread in threading.enumerate()}
    bad = frame.withColumn("label", F.when(F.rand(1) < 0.1, float("nan")).otherwise(F.col("label")))
    with pytest.raises(WorkerError, match=r"labels: expected finite numbers"):
        tiny_estimator(mode="synchronous").fit(bad)
    started = {thread.name for thread in threading.enumerate()} - before
    assert not {name for name in started if name.startswith(("fit", "parameter-server"))}
    assert len(tiny_estimator(mode="synchronous").fit(frame).history) == 2  # the next fit works


@pytest.mark.slow
def test_a_frame_without_rows_is_refused(frame: DataFrame) -> None:
    with pytest.raises(TrainingError, match="expected rows to train on, got none"):
        tiny_estimator().fit(frame.where("label > 5"))


def test_an_optimizer_with_loss_scaling_is_refused(frame: DataFrame) -> None:
    keras = import_keras()
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    with pytest.raises(TrainingError, match="each worker would need its current scale"):
        tiny_estimator(optimizer=optimizer).fit(frame)
