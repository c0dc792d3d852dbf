"""Tests of fits on Spark that are interrupted and resumed from their checkpoints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from glasses_spark import GlassesEstimator, build_estimator
from glasses_spark.errors import TrainingError
from glasses_spark.runtime.keras import import_keras
from tests.training.tiny import ROWS, same_weights, tiny_model

pytestmark = pytest.mark.slow

EPOCHS = 5
WORKERS = 3  # in two tasks


class Interrupt(KeyboardInterrupt):
    """Ends a fit like Ctrl-C."""


def interrupt_after(epochs: int) -> Any:
    """Return a Keras callback that ends the fit after some epochs."""
    callback: Any = import_keras().callbacks.LambdaCallback

    def end(epoch: int, logs: object) -> None:
        if epoch + 1 == epochs:
            raise Interrupt

    return callback(on_epoch_end=end)


def nothing() -> Any:
    """Return a callback of the same class that does nothing."""
    return import_keras().callbacks.LambdaCallback()


def random_model() -> Any:
    """A model with random numbers and moving statistics."""
    keras = import_keras()
    keras.utils.set_random_seed(5)
    hidden = [keras.layers.Dropout(0.2), keras.layers.BatchNormalization()]
    return tiny_model(hidden=hidden, optimizer=keras.optimizers.Adam(0.05), metrics=["accuracy"])


def estimator(
    checkpoints: Path | str, callbacks: Sequence[Any], **settings: Any
) -> GlassesEstimator:
    chosen: dict[str, Any] = {"mode": "synchronous", "frequency": "batch", "epochs": EPOCHS}
    chosen |= settings
    return build_estimator(
        random_model(),
        batch_size=4,
        categorical=False,
        num_workers=WORKERS,
        split=0.2,
        checkpoint_dir=str(checkpoints),
        callbacks=callbacks,
        **chosen,
    )


def watchers() -> list[Any]:
    keras = import_keras().callbacks
    return [
        keras.ReduceLROnPlateau("val_loss", factor=0.5, patience=1, min_delta=10),
        keras.EarlyStopping("val_loss", patience=EPOCHS, restore_best_weights=True),
    ]


@pytest.mark.parametrize("frequency", ["batch", "epoch"])
@pytest.mark.parametrize("epochs", [pytest.param(2, marks=pytest.mark.exhaustive), 4])
def test_a_resumed_synchronous_fit_has_the_weights_and_the_history_of_one_never_interrupted(
    frame: DataFrame, tmp_path: Path, frequency: str, epochs: int
) -> None:
    whole = estimator("", [*watchers(), nothing()], frequency=frequency).fit(frame)
    interrupted = estimator(tmp_path, [*watchers(), interrupt_after(epochs)], frequency=frequency)
    with pytest.raises(Interrupt):
        interrupted.fit(frame)

    resumed = estimator(tmp_path, [*watchers(), nothing()], frequency=frequency).fit(frame)

    assert same_weights(whole, resumed)
    assert [metrics_of(epoch) for epoch in whole.history] == [
        metrics_of(epoch) for epoch in resumed.history
    ]


def metrics_of(epoch: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in epoch.items() if name != "workers"}


@pytest.mark.parametrize(
    "mode", ["asynchronous", pytest.param("hogwild", marks=pytest.mark.exhaustive)]
)
@pytest.mark.parametrize("frequency", ["batch", "epoch"])
def test_a_resumed_asynchronous_fit_uses_each_row_once_per_epoch(
    frame: DataFrame, tmp_path: Path, mode: str, frequency: str
) -> None:
    settings = {"mode": mode, "frequency": frequency}
    with pytest.raises(Interrupt):
        estimator(tmp_path, [interrupt_after(2)], **settings).fit(frame)
    fitted = estimator(tmp_path, [nothing()], **settings).fit(frame)
    rows = [[worker["rows"] for worker in epoch["workers"]] for epoch in fitted.history]
    assert len(rows) == EPOCHS
    assert all(shares == rows[0] for shares in rows)
    assert ROWS * 0.6 < sum(rows[0]) < ROWS


def test_a_fit_that_has_ended_is_not_trained_again(frame: DataFrame, tmp_path: Path) -> None:
    first = estimator(tmp_path, [nothing()]).fit(frame)
    seen: list[int] = []
    watch = nothing()
    watch.on_epoch_end = lambda epoch, logs=None: seen.append(epoch)
    second = estimator(tmp_path, [watch]).fit(frame)
    assert same_weights(first, second)
    assert first.history == second.history
    assert not seen
    more = estimator(tmp_path, [watch], epochs=EPOCHS + 1).fit(frame)
    assert len(more.history) == EPOCHS + 1
    assert seen == [EPOCHS]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": 9}, "seed=0, not 9"),
        ({"mode": "asynchronous"}, "mode='synchronous', not 'asynchronous'"),
        ({"loss": "mse"}, "another model"),
        ({"optimizer": "sgd"}, "another model"),
    ],
)
def test_a_checkpoint_of_another_fit_is_refused_by_name(
    frame: DataFrame, tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(Interrupt):
        estimator(tmp_path, [interrupt_after(2)]).fit(frame)
    with pytest.raises(TrainingError, match=message):
        estimator(tmp_path, [nothing()], **change).fit(frame)


def test_a_checkpoint_of_other_rows_is_refused(frame: DataFrame, tmp_path: Path) -> None:
    with pytest.raises(Interrupt):
        estimator(tmp_path, [interrupt_after(2)]).fit(frame)
    others = frame.withColumn(
        "label", F.when(F.rand(1) < 0.1, 1 - F.col("label")).otherwise(F.col("label"))
    )
    with pytest.raises(TrainingError, match="other data than those of this fit"):
        estimator(tmp_path, [nothing()]).fit(others)


def test_the_checkpoint_before_is_used_if_the_last_one_is_damaged(
    frame: DataFrame, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = estimator("", [nothing()]).fit(frame)
    with pytest.raises(Interrupt):
        estimator(tmp_path, [interrupt_after(4)]).fit(frame)
    *_, last = sorted(tmp_path.glob("checkpoint-*.zip"))
    data = bytearray(last.read_bytes())
    data[1000] ^= 1
    last.write_bytes(data)
    resumed = estimator(tmp_path, [nothing()]).fit(frame)
    assert "skipped the damaged checkpoint" in caplog.text
    assert same_weights(whole, resumed)


def test_a_checkpoint_within_an_epoch_is_resumed(frame: DataFrame, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"checkpoint_every": "1 step", "epochs": 3}
    whole = estimator("", [nothing()], epochs=3).fit(frame)
    with pytest.raises(Interrupt):
        estimator(tmp_path, [interrupt_after(2)], **settings).fit(frame)
    resumed = estimator(tmp_path, [nothing()], **settings).fit(frame)
    assert same_weights(whole, resumed)
