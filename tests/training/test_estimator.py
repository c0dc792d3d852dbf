"""Tests for glasses_spark.training.estimator, on a real Spark with two task slots."""

from __future__ import annotations

import csv
import threading
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from elephas.ml_model import ElephasEstimator, ElephasTransformer
from pyspark.ml import Pipeline, PipelineModel
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark import GlassesEstimator, GlassesModel, build_estimator, load_ml_estimator
from glasses_spark.errors import ConfigError, TrainingError, WorkerError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.trainer import driver_addresses
from tests.training.tiny import separable, tiny_model

ROWS = 43


@pytest.fixture(scope="module")
def frame(spark: SparkSession) -> DataFrame:
    x, y = separable(ROWS)
    rows = [(Vectors.dense(a), float(b[0])) for a, b in zip(x, y, strict=True)]
    return spark.createDataFrame(rows, ["features", "label"]).repartition(3).cache()


def estimator(**changes: Any) -> GlassesEstimator:
    settings: dict[str, Any] = {
        "model": tiny_model(),
        "epochs": 2,
        "batch_size": 8,
        "categorical": False,
        "num_workers": 2,
    }
    return build_estimator(**{**settings, **changes})


def test_our_classes_are_those_of_elephas(frame: DataFrame) -> None:
    assert issubclass(GlassesEstimator, ElephasEstimator)
    assert issubclass(GlassesModel, ElephasTransformer)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["synchronous", "asynchronous", "hogwild"])
@pytest.mark.parametrize("frequency", ["batch", "epoch"])
def test_a_fit_uses_every_row_in_every_epoch(frame: DataFrame, mode: str, frequency: str) -> None:
    fitted = estimator(mode=mode, frequency=frequency, epochs=3).fit(frame)
    assert [epoch["rows"] for epoch in fitted.history] == [ROWS] * 3
    assert all(
        [worker["rows"] for worker in epoch["workers"]] == [21, 22] for epoch in fitted.history
    )
    assert all({"loss", "accuracy"} <= epoch.keys() for epoch in fitted.history)
    assert fitted.transform(frame).where("prediction[0] BETWEEN 0 AND 1").count() == ROWS


@pytest.mark.slow
def test_synchronous_fits_are_the_same_to_the_last_bit_whatever_the_partitions(
    frame: DataFrame,
) -> None:
    fits = [
        estimator(mode="synchronous").fit(rows)
        for rows in (frame, frame.coalesce(1), frame.orderBy(F.rand(3)).repartition(5))
    ]
    weights = [np.concatenate([w.ravel() for w in fitted.weights]) for fitted in fits]
    assert np.array_equal(weights[0], weights[1])
    assert np.array_equal(weights[0], weights[2])


@pytest.mark.slow
def test_one_asynchronous_worker_is_deterministic(frame: DataFrame) -> None:
    fits = [estimator(num_workers=1, mode="asynchronous").fit(frame) for _ in range(2)]
    assert all(np.array_equal(a, b) for a, b in zip(fits[0].weights, fits[1].weights, strict=True))


@pytest.mark.slow
def test_training_starts_from_the_weights_of_the_model(frame: DataFrame) -> None:
    model = tiny_model()
    model.set_weights([np.full(weight.shape, 0.25) for weight in model.get_weights()])
    model.optimizer.learning_rate = 0.0
    fitted = estimator(model=model, epochs=1).fit(frame)
    assert all((weight == 0.25).all() for weight in fitted.weights)


@pytest.mark.slow
def test_validation_rows_are_held_back_and_measured(frame: DataFrame) -> None:
    marked = frame.withColumn("held_back", F.col("features").cast("string") < "[-0.5")
    held_back = marked.where("held_back").count()
    fitted = estimator(mode="synchronous", validationIndicatorCol="held_back").fit(marked)
    assert 0 < held_back < ROWS
    assert [epoch["rows"] for epoch in fitted.history] == [ROWS - held_back] * 2
    x = np.array([row.features.toArray() for row in marked.where("held_back").collect()])
    y = np.array([row.label for row in marked.where("held_back").collect()])
    model = fitted.keras_model()
    model.compile(loss="binary_crossentropy", metrics=["accuracy"])
    loss, accuracy = model.evaluate(x, y[:, None], verbose=0)
    assert fitted.history[-1]["val_loss"] == pytest.approx(loss, abs=1e-5)
    assert fitted.history[-1]["val_accuracy"] == pytest.approx(accuracy)


@pytest.mark.slow
def test_callbacks_run_in_the_driver_and_can_stop_the_fit(frame: DataFrame) -> None:
    keras = import_keras()
    seen: list[tuple[int, float]] = []

    callback: Any = keras.callbacks.Callback

    class Stop(callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            seen.append((epoch, logs["loss"]))
            self.model.stop_training = epoch == 1

    fitted = estimator(mode="synchronous", epochs=5, callbacks=[Stop()]).fit(frame)
    assert [epoch for epoch, _ in seen] == [0, 1]
    assert [epoch["loss"] for epoch in fitted.history] == [loss for _, loss in seen]


@pytest.mark.slow
def test_a_stop_that_comes_between_epochs_ends_the_fit(frame: DataFrame) -> None:
    keras = import_keras()
    callback: Any = keras.callbacks.Callback

    class StopAtTheBeginning(callback):
        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            self.model.stop_training = epoch == 1

    fitted = estimator(mode="synchronous", epochs=4, callbacks=[StopAtTheBeginning()]).fit(frame)
    assert len(fitted.history) == 1


@pytest.mark.slow
@pytest.mark.parametrize("frequency", ["batch", "epoch"])
def test_a_learning_rate_that_is_set_before_an_epoch_counts_in_it(
    frame: DataFrame, frequency: str
) -> None:
    keras = import_keras()
    weights: list[Any] = []
    callbacks: list[Any] = [
        keras.callbacks.LearningRateScheduler(lambda epoch: 0.5 if epoch == 1 else 0.0),
        keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: weights.append(model_of(callbacks).get_weights())
        ),
    ]
    start = tiny_model(optimizer="sgd")
    estimator(
        model=start, mode="synchronous", frequency=frequency, epochs=3, callbacks=callbacks
    ).fit(frame)
    steps = [start.get_weights(), *weights]
    moved = [
        any((a != b).any() for a, b in zip(before, after, strict=True))
        for before, after in pairwise(steps)
    ]
    assert moved == [False, True, False]


def model_of(callbacks: list[Any]) -> Any:
    return callbacks[0].model


@pytest.mark.slow
def test_early_stopping_gives_the_best_weights_back(frame: DataFrame) -> None:
    keras = import_keras()
    weights: dict[int, Any] = {}
    stopping = keras.callbacks.EarlyStopping(
        "val_loss", patience=2, restore_best_weights=True, start_from_epoch=0
    )
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: weights.update({epoch: stopping.model.get_weights()})
    )
    model = tiny_model(optimizer=keras.optimizers.SGD(20.0))  # so that the loss goes up again
    fitted = estimator(
        model=model, mode="synchronous", epochs=12, split=0.3, callbacks=[watch, stopping]
    ).fit(frame)
    losses = [epoch["val_loss"] for epoch in fitted.history]
    best = int(np.argmin(losses))
    assert len(losses) == best + 3 < 12
    assert all(np.array_equal(a, b) for a, b in zip(fitted.weights, weights[best], strict=True))


@pytest.mark.slow
def test_the_logs_of_keras_tell_of_each_epoch(frame: DataFrame, tmp_path: Path) -> None:
    callbacks = import_keras().callbacks
    fitted = estimator(
        epochs=4,
        split=0.3,
        mode="synchronous",
        model=tiny_model(optimizer=import_keras().optimizers.SGD(20.0)),
        callbacks=[
            callbacks.ReduceLROnPlateau("val_loss", factor=0.5, patience=1),
            callbacks.CSVLogger(str(tmp_path / "log.csv")),
            callbacks.TensorBoard(str(tmp_path / "board"), write_graph=False),
        ],
    ).fit(frame)
    with (tmp_path / "log.csv").open() as file:
        lines = list(csv.DictReader(file))
    for name in ("loss", "val_loss", "accuracy"):
        logged = [float(line[name]) for line in lines]
        assert logged == pytest.approx([epoch[name] for epoch in fitted.history])
    rates = [float(line["learning_rate"]) for line in lines]
    assert rates[0] == 20.0
    assert rates[-1] < 20.0  # the plateau was met
    events = [path.stat().st_size for path in (tmp_path / "board").rglob("events.*")]
    assert len(events) == 2  # of training and of validation
    assert min(events) > 100


@pytest.mark.slow
def test_a_checkpoint_of_keras_can_train_on(frame: DataFrame, tmp_path: Path) -> None:
    keras = import_keras()
    path = str(tmp_path / "checkpoint.keras")
    checkpoint = keras.callbacks.ModelCheckpoint(path, save_best_only=False)
    fitted = estimator(mode="synchronous", epochs=2, callbacks=[checkpoint]).fit(frame)
    again = keras.models.load_model(path)
    assert all(
        np.array_equal(a, b) for a, b in zip(again.get_weights(), fitted.weights, strict=True)
    )
    assert int(again.optimizer.iterations) == 2 * 3  # 21 and 22 rows in batches of 8
    momenta = [v for v in again.optimizer.variables if v.name.endswith("_momentum")]
    assert len(momenta) == 4
    assert all(np.abs(momentum.numpy()).max() > 0 for momentum in momenta)


@pytest.mark.slow
def test_a_fit_is_the_same_after_a_transform_with_other_threads(
    spark: SparkSession,
) -> None:
    from glasses_spark import build_cnn

    generator = np.random.default_rng(0)
    rows = [
        (bytearray(generator.integers(0, 256, 48 * 48).astype(np.uint8).tobytes()), float(n % 2))
        for n in range(40)
    ]
    frame = spark.createDataFrame(rows, "features binary, label double").cache()

    def fit() -> GlassesModel:
        cnn = build_cnn(48, 48)
        made = estimator(model=cnn, mode="synchronous", num_workers=1, epochs=1, batch_size=20)
        fitted: GlassesModel = made.fit(frame)
        return fitted

    before = fit()
    assert before.transform(frame).count() == 40  # in processes of one thread, kept by Spark
    after = fit()
    assert all(np.array_equal(a, b) for a, b in zip(before.weights, after.weights, strict=True))


@pytest.mark.slow
def test_class_weights_count_as_sample_weights_do(frame: DataFrame) -> None:
    weighted = frame.withColumn("w", F.when(F.col("label") == 1.0, 3.0).otherwise(1.0))
    by_class = estimator(mode="synchronous", class_weight={1: 3.0}).fit(frame)
    by_row = estimator(mode="synchronous", weightCol="w").fit(weighted)
    plain = estimator(mode="synchronous").fit(frame)
    for a, b, c in zip(by_class.weights, by_row.weights, plain.weights, strict=True):
        assert a == pytest.approx(b, abs=1e-5)
        assert np.abs(a - c).max() > 1e-5


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ({"spark.driver.host": "10.0.0.5"}, ("10.0.0.5", "10.0.0.5")),
        (
            {"spark.driver.host": "driver.example", "spark.driver.bindAddress": "0.0.0.0"},
            ("driver.example", "0.0.0.0"),
        ),
    ],
)
def test_the_server_listens_where_the_driver_does(
    conf: dict[str, str], expected: tuple[str, str]
) -> None:
    assert driver_addresses(conf.get) == expected


@pytest.mark.slow
def test_more_workers_than_slots_train_in_waves_or_say_so(frame: DataFrame) -> None:
    fitted = estimator(mode="asynchronous", num_workers=3, epochs=1).fit(frame)
    assert [worker["rows"] for worker in fitted.history[0]["workers"]] == [14, 14, 15]
    with pytest.raises(TrainingError, match=r"3 workers do not fit into 2 task slots"):
        estimator(mode="synchronous", num_workers=3).fit(frame)


@pytest.mark.slow
def test_an_error_in_a_worker_is_raised_by_fit_and_leaves_nothing_behind(
    frame: DataFrame,
) -> None:
    before = {thread.name for thread in threading.enumerate()}
    bad = frame.withColumn("label", F.when(F.rand(1) < 0.1, float("nan")).otherwise(F.col("label")))
    with pytest.raises(WorkerError, match=r"labels: expected finite numbers"):
        estimator(mode="synchronous").fit(bad)
    left = {thread.name for thread in threading.enumerate()} - before
    assert not {name for name in left if name.startswith(("fit", "parameter-server"))}
    assert len(estimator(mode="synchronous").fit(frame).history) == 2  # the next one works


@pytest.mark.slow
def test_a_frame_without_rows_is_refused(frame: DataFrame) -> None:
    with pytest.raises(TrainingError, match="expected rows to train on, got none"):
        estimator().fit(frame.where("label > 5"))


def test_a_missing_column_is_named_with_those_that_are_there(frame: DataFrame) -> None:
    with pytest.raises(Exception, match=r"expected a column 'pixels', got the columns features"):
        estimator(featuresCol="pixels").fit(frame)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "foobar"}, "mode: expected one of synchronous, asynchronous, hogwild"),
        ({"frequency": "step"}, "frequency: expected one of batch, epoch, got 'step'"),
        ({"epochs": 0}, "epochs: expected a whole number of at least 1, got 0"),
        ({"batch_size": 0}, "batch_size: expected a whole number of at least 1, got 0"),
        ({"num_workers": "many"}, "num_workers: .* or 'auto', got 'many'"),
        ({"split": 1.0}, r"validation_split: expected a number in \[0, 1\), got 1.0"),
    ],
)
def test_a_wrong_value_is_refused_at_the_door(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        estimator(**changes)


def test_an_optimizer_with_loss_scaling_is_refused(frame: DataFrame) -> None:
    keras = import_keras()
    optimizer = keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam())
    with pytest.raises(TrainingError, match="without loss scaling"):
        estimator(optimizer=optimizer).fit(frame)


@pytest.mark.slow
def test_a_saved_estimator_comes_back_with_its_weights(spark: SparkSession, tmp_path: Path) -> None:
    made = estimator(epochs=4, seed=9)
    made.save(str(tmp_path / "estimator"))
    again = GlassesEstimator.load(str(tmp_path / "estimator"))
    assert again.get_epochs() == 4
    assert again.getSeed() == 9
    assert again.initial_weights is not None
    assert made.initial_weights is not None
    assert all(
        np.array_equal(a, b)
        for a, b in zip(again.initial_weights, made.initial_weights, strict=True)
    )


def test_an_estimator_saved_in_elephas_form_keeps_its_optimizer(tmp_path: Path) -> None:
    made = estimator(
        optimizer="rmsprop",
        precision="bfloat16",
        class_weight={1.0: 2.0},
        parameter_server_port=4321,
    )
    made.save(str(tmp_path / "estimator.h5"))
    again = load_ml_estimator(str(tmp_path / "estimator.h5"))
    assert again.get_optimizer_config() == "rmsprop"
    assert again.get_config() == made.get_config()
    ours = ("precision", "class_weight", "parameter_server_port")
    assert [again.get_config()[name] for name in ours] == ["bfloat16", {"1.0": 2.0}, 4321]


@pytest.mark.slow
def test_a_pipeline_with_our_stages_fits_saves_and_loads(frame: DataFrame, tmp_path: Path) -> None:
    fitted = Pipeline(stages=[estimator(epochs=1)]).fit(frame)
    fitted.save(str(tmp_path / "pipeline"))
    again = PipelineModel.load(str(tmp_path / "pipeline"))
    columns = ["label", "prediction"]
    found = [model.transform(frame).select(*columns).collect() for model in (fitted, again)]
    assert found[0] == found[1]
    ours, theirs = (pipeline.stages[0] for pipeline in (again, fitted))
    assert isinstance(ours, GlassesModel)
    assert isinstance(theirs, GlassesModel)
    assert ours.history == theirs.history
