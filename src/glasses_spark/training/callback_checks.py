"""Callback checks: requirements of callbacks before any data is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from glasses_spark.errors import ConfigError, TrainingError
from glasses_spark.runtime.keras import import_keras

# Methods that `keras.Model.fit` calls for each batch.
_BATCH_METHODS: Final = tuple(
    f"on_{kind}batch_{end}" for kind in ("", "train_", "test_") for end in ("begin", "end")
)


def callback_tuple(callbacks: Any) -> tuple[Any, ...]:
    """Return the callbacks that a user has passed.

    Raises:
        ConfigError: It is no list of Keras callbacks.
    """
    kind = import_keras().callbacks.Callback
    if isinstance(callbacks, kind) or not isinstance(callbacks, Iterable):
        raise ConfigError(
            f"callbacks: expected a list of Keras callbacks, got {type(callbacks).__name__}. "
            "Put it into a list"
        )
    found = tuple(callbacks)
    for callback in found:
        # Keras asks for the methods of a callback, not for its class.
        if not hasattr(callback, "set_model"):
            raise ConfigError(
                f"callbacks: expected Keras callbacks, got {callback!r}. Derive it from "
                "keras.callbacks.Callback, or wrap it in a LambdaCallback"
            )
    return found


def require_epoch_callbacks(callbacks: Sequence[Any]) -> None:
    """Refuse callbacks that act on each batch: they run in the driver, batches on the workers.

    Raises:
        TrainingError: A callback has a method for batches, or a setting that needs them, or
            would continue an earlier fit.
    """
    for callback in callbacks:
        if part := _batch_setting(callback) or _batch_method(callback):
            raise TrainingError(
                f"callback {type(callback).__name__}: {part} needs each batch, but callbacks run "
                "in the driver after each epoch. Act on epochs, or train with keras.Model.fit"
            )
        _require_no_backup(callback)


def require_validation_callbacks(callbacks: Sequence[Any]) -> None:
    """Refuse callbacks that change the weights only for the validation.

    Raises:
        TrainingError: There is one.
    """
    for callback in callbacks:
        if isinstance(callback, import_keras().callbacks.SwapEMAWeights):
            raise TrainingError(
                "callback SwapEMAWeights: workers compute the validation metrics with the weights "
                "of the training, not with their moving average. Fit without validation rows"
            )


def _require_no_backup(callback: Any) -> None:
    import tensorflow as tf

    if isinstance(callback, import_keras().callbacks.BackupAndRestore):
        path = callback._weights_path
        if tf.io.gfile.exists(path):
            raise TrainingError(
                f"callback BackupAndRestore: found {path} of an earlier fit. This fit would not "
                "continue at its epoch. Load these weights into the model and fit the remaining "
                "epochs, or remove the folder"
            )


def _batch_setting(callback: Any) -> str:
    """Return the setting with which a callback of Keras acts on batches; empty for none."""
    keras = import_keras().callbacks
    if isinstance(callback, keras.ModelCheckpoint | keras.BackupAndRestore):
        by_epoch = callback.save_freq in ("epoch", False)
        return "" if by_epoch else f"save_freq={callback.save_freq!r}"
    if isinstance(callback, keras.TensorBoard):
        settings = {
            f"update_freq={callback.update_freq!r}": callback.update_freq != "epoch",
            "write_steps_per_second": callback.write_steps_per_second,
            "profile_batch": callback._should_trace,
        }
        return next((name for name, is_set in settings.items() if is_set), "")
    return ""


def _batch_method(callback: Any) -> str:
    """Return the method that acts on batches; empty for none.

    Those of Keras' own classes do nothing without a setting of `_batch_setting`, print, or look
    for NaN, with which a fit ends anyway.
    """
    for name in _BATCH_METHODS:
        owner = next((base for base in type(callback).__mro__ if name in vars(base)), object)
        is_own = not owner.__module__.startswith("keras.")
        if name in vars(callback) or (is_own and owner is not object):
            return name
    return ""
