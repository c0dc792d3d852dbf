"""Tests for glasses_spark.training.callback_checks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from glasses_spark.errors import TrainingError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.callback_checks import (
    require_epoch_callbacks,
    require_validation_callbacks,
)

pytestmark = pytest.mark.slow  # imports TensorFlow

Make = Callable[[Any, str], Any]


def own(keras: Any, **methods: Any) -> Any:
    """Return a callback of a class of the user's own."""
    return type("Own", (keras.callbacks.Callback,), methods)()


@pytest.mark.parametrize(
    ("make", "part"),
    [
        pytest.param(
            lambda keras, _: own(keras, on_train_batch_end=lambda self, batch, logs: None),
            "Own: on_train_batch_end needs each batch",
            id="method",
        ),
        pytest.param(
            lambda keras, _: own(keras, on_test_batch_begin=lambda self, batch, logs: None),
            "Own: on_test_batch_begin needs each batch",
            id="method of the validation",
        ),
        pytest.param(
            lambda keras, _: keras.callbacks.LambdaCallback(on_train_batch_end=print),
            "LambdaCallback: on_train_batch_end needs each batch",
            id="function",
        ),
        pytest.param(
            lambda keras, folder: keras.callbacks.ModelCheckpoint(f"{folder}/a.keras", save_freq=9),
            "ModelCheckpoint: save_freq=9 needs each batch",
            id="setting",
        ),
        pytest.param(
            lambda keras, folder: keras.callbacks.TensorBoard(folder, update_freq="batch"),
            "TensorBoard: update_freq=1 needs each batch",
            id="TensorBoard",
        ),
    ],
)
def test_a_callback_that_acts_on_batches_is_refused(make: Make, part: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=f"callback {part}.* after each epoch"):
        require_epoch_callbacks([make(import_keras(), str(tmp_path))])


def test_callbacks_that_act_on_epochs_are_accepted(tmp_path: Path) -> None:
    keras = import_keras()
    require_epoch_callbacks(
        [
            own(keras, on_epoch_end=lambda self, epoch, logs: None),
            keras.callbacks.ModelCheckpoint(tmp_path / "model.keras"),
            keras.callbacks.BackupAndRestore(tmp_path / "backup"),
            keras.callbacks.TensorBoard(tmp_path),
            keras.callbacks.TerminateOnNaN(),
            keras.callbacks.LambdaCallback(on_epoch_end=print),
        ]
    )


def test_a_backup_of_an_earlier_fit_is_refused(tmp_path: Path) -> None:
    callback = import_keras().callbacks.BackupAndRestore(tmp_path)
    Path(callback._weights_path).touch()

    with pytest.raises(TrainingError, match=r"BackupAndRestore: found .* of an earlier fit"):
        require_epoch_callbacks([callback])


def test_weights_for_the_validation_alone_are_refused() -> None:
    callbacks = import_keras().callbacks
    require_validation_callbacks([callbacks.EarlyStopping()])

    with pytest.raises(TrainingError, match=r"SwapEMAWeights: .* Fit without validation rows"):
        require_validation_callbacks([callbacks.SwapEMAWeights()])
