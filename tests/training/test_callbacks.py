"""Tests for glasses_spark.training.callbacks, with callbacks of Keras in fits on Spark."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame

from glasses_spark.config.training import TrainingSettings
from glasses_spark.errors import TrainingError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.callbacks import make_callbacks
from tests.training.tiny import tiny_estimator, tiny_model


def test_callbacks_watch_the_validation_loss_as_configured() -> None:
    assert make_callbacks(TrainingSettings()) == []
    stopping, reducing = make_callbacks(TrainingSettings(early_stopping=3, reduce_learning_rate=2))
    assert (stopping.monitor, stopping.patience) == ("val_loss", 3)
    assert stopping.restore_best_weights
    assert (reducing.monitor, reducing.patience, reducing.factor) == ("val_loss", 2, 0.5)


@pytest.mark.slow
def test_callbacks_run_in_the_driver_and_can_stop_the_fit(frame: DataFrame) -> None:
    keras = import_keras()
    seen: list[tuple[int, float]] = []

    callback: Any = keras.callbacks.Callback

    class Stop(callback):
        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            seen.append((epoch, logs["loss"]))
            self.model.stop_training = epoch == 1

    fitted = tiny_estimator(mode="synchronous", epochs=5, callbacks=[Stop()]).fit(frame)
    assert [epoch for epoch, _ in seen] == [0, 1]
    assert [epoch["loss"] for epoch in fitted.history] == [loss for _, loss in seen]


@pytest.mark.slow
def test_a_stop_at_the_beginning_of_an_epoch_ends_the_fit(frame: DataFrame) -> None:
    keras = import_keras()
    callback: Any = keras.callbacks.Callback

    class StopAtTheBeginning(callback):
        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            self.model.stop_training = epoch == 1

    fitted = tiny_estimator(mode="synchronous", epochs=4, callbacks=[StopAtTheBeginning()]).fit(
        frame
    )
    assert len(fitted.history) == 1


@pytest.mark.slow
@pytest.mark.parametrize("frequency", ["batch", "epoch"])
def test_a_learning_rate_that_is_set_before_an_epoch_is_used_in_it(
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
    tiny_estimator(
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
def test_early_stopping_restores_the_best_weights(frame: DataFrame) -> None:
    keras = import_keras()
    weights: dict[int, Any] = {}
    stopping = keras.callbacks.EarlyStopping(
        "val_loss", patience=2, restore_best_weights=True, start_from_epoch=0
    )
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: weights.update({epoch: stopping.model.get_weights()})
    )
    model = tiny_model(optimizer=keras.optimizers.SGD(20.0))  # so that the loss goes up again
    fitted = tiny_estimator(
        model=model, mode="synchronous", epochs=12, split=0.3, callbacks=[watch, stopping]
    ).fit(frame)
    losses = [epoch["val_loss"] for epoch in fitted.history]
    best = int(np.argmin(losses))
    assert len(losses) == best + 3 < 12
    assert all(np.array_equal(a, b) for a, b in zip(fitted.weights, weights[best], strict=True))


@pytest.mark.slow
def test_early_stopping_watches_the_mean_of_a_metric_by_class(frame: DataFrame) -> None:
    keras = import_keras()
    model = tiny_model(
        optimizer=keras.optimizers.SGD(0.0), metrics=[keras.metrics.F1Score(threshold=0.5)]
    )
    stopping = keras.callbacks.EarlyStopping("f1_score", patience=1)
    fitted = tiny_estimator(model=model, mode="synchronous", epochs=5, callbacks=[stopping]).fit(
        frame
    )
    assert len(fitted.history) == 2  # the weights do not change, so it does not improve
    first = fitted.history[0]
    assert first["f1_score"] == first["f1_score_0"] > 0


@pytest.mark.slow
def test_the_loggers_of_keras_log_each_epoch(frame: DataFrame, tmp_path: Path) -> None:
    callbacks = import_keras().callbacks
    fitted = tiny_estimator(
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
    assert rates == [epoch["learning_rate"] for epoch in fitted.history]
    assert rates[0] == 20.0
    assert rates[-1] < 20.0  # reduced on the plateau
    events = [path.stat().st_size for path in (tmp_path / "board").rglob("events.*")]
    assert len(events) == 2  # of training and of validation
    assert min(events) > 100


@pytest.mark.slow
def test_a_checkpoint_of_keras_has_the_state_of_the_optimizer(
    frame: DataFrame, tmp_path: Path
) -> None:
    keras = import_keras()
    path = str(tmp_path / "checkpoint.keras")
    checkpoint = keras.callbacks.ModelCheckpoint(path, save_best_only=False)
    fitted = tiny_estimator(mode="synchronous", epochs=2, callbacks=[checkpoint]).fit(frame)
    loaded = keras.models.load_model(path)
    assert all(
        np.array_equal(a, b) for a, b in zip(loaded.get_weights(), fitted.weights, strict=True)
    )
    assert int(loaded.optimizer.iterations) == 2 * 3  # 21 and 22 rows in batches of 8
    momenta = [v for v in loaded.optimizer.variables if v.name.endswith("_momentum")]
    assert len(momenta) == 4
    assert all(np.abs(momentum.numpy()).max() > 0 for momentum in momenta)


def test_early_stopping_without_validation_rows_is_refused(frame: DataFrame) -> None:
    with pytest.raises(TrainingError, match=r"^early_stopping=3 needs validation rows, found none"):
        tiny_estimator(early_stopping=3).fit(frame)


@pytest.mark.slow
def test_early_stopping_is_a_param(frame: DataFrame) -> None:
    estimator = tiny_estimator(
        mode="synchronous",
        epochs=40,
        split=0.3,
        model=tiny_model(optimizer=import_keras().optimizers.SGD(20.0)),
    )
    (fitted,) = estimator.fit(frame, [{estimator.early_stopping: 2}])
    losses = [epoch["val_loss"] for epoch in fitted.history]
    assert len(losses) == int(np.argmin(losses)) + 3 < 40


@pytest.mark.slow
def test_a_moving_average_is_the_result_and_callbacks_see_it_at_the_end(frame: DataFrame) -> None:
    keras = import_keras()
    weights: list[Any] = []
    callbacks: list[Any] = [
        keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: weights.append(model_of(callbacks).get_weights()),
            on_train_end=lambda logs: weights.append(model_of(callbacks).get_weights()),
        ),
    ]
    model = tiny_model(optimizer=keras.optimizers.SGD(0.5, use_ema=True, ema_momentum=0.9))
    fitted = tiny_estimator(
        model=model, mode="synchronous", frequency="batch", callbacks=callbacks
    ).fit(frame)
    _, last, averaged = weights
    assert all(np.array_equal(a, b) for a, b in zip(fitted.weights, averaged, strict=True))
    assert np.abs(last[0] - averaged[0]).max() > 1e-3
