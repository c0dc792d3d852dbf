"""Callbacks: Keras callbacks, run in the driver between the epochs of all workers."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from glasses_spark.config.training import TrainingSettings
from glasses_spark.errors import TrainingError
from glasses_spark.runtime.causes import describe
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.history import RESERVED, EpochRecord
from glasses_spark.training.optimizers import rate_variable
from glasses_spark.training.server.calls import EpochDecision
from glasses_spark.training.server.coordinator import Coordinator
from glasses_spark.training.server.fit_state import FitState
from glasses_spark.training.weights import read_vector


def make_callbacks(settings: TrainingSettings) -> list[Any]:
    """Return the Keras callbacks that watch the validation loss, as the settings say."""
    keras = import_keras().callbacks
    callbacks: list[Any] = []
    if settings.early_stopping:
        callbacks.append(
            keras.EarlyStopping(
                monitor="val_loss", patience=settings.early_stopping, restore_best_weights=True
            )
        )
    if settings.reduce_learning_rate:
        callbacks.append(
            keras.ReduceLROnPlateau(
                monitor="val_loss", factor=0.5, patience=settings.reduce_learning_rate
            )
        )
    return callbacks


class CallbackRunner:
    """Calls Keras callbacks as ``keras.Model.fit`` does, and applies what they change.

    Args:
        model: The driver's model, which callbacks read, save and change.
        callbacks: Keras callbacks.
        coordinator: Coordinator of the fit.

    Attributes:
        callbacks: The callbacks.
        stopped: Whether a callback has stopped the training.
    """

    def __init__(self, model: Any, callbacks: Sequence[Any], coordinator: Coordinator) -> None:
        schedule = coordinator.schedule
        self.stopped = False
        self._model = model
        self._coordinator = coordinator
        self._epochs = schedule.epochs
        self._idle = not callbacks
        self._logs: Mapping[str, Any] = {}
        keras = import_keras().callbacks
        # The last one: it gets what the other callbacks have made of the logs.
        watch = keras.LambdaCallback(on_epoch_end=self._keep_logs)
        self.callbacks = list(callbacks)
        self._list = keras.CallbackList(
            [*callbacks, watch],
            add_history=True,
            model=model,
            epochs=schedule.epochs,
            steps=schedule.steps_per_epoch,
            verbose=0,
        )

    def begin(self) -> None:
        """Start the training; callbacks may load weights or set the learning rate.

        Called before any worker starts.
        """
        self._model.stop_training = False
        with self._errors():
            self._list.on_train_begin()
            self._list.on_epoch_begin(0)
        self._apply_changes()
        self._coordinator.begin(EpochDecision(stop=False, learning_rate=self._learning_rate()))

    def resume(
        self,
        state: FitState,
        *,
        epochs: int,
        stopped: bool,
        restore: Callable[[Sequence[Any]], None],
    ) -> None:
        """Start the training in the middle.

        Args:
            state: State of the fit, which the coordinator takes over.
            epochs: Number of epochs that the driver has finished.
            stopped: Whether a callback has stopped the training.
            restore: Gives the callbacks their states.
        """
        self._model.stop_training = self.stopped = stopped
        with self._errors():
            self._list.on_train_begin()
        # The fit may have more epochs than before.
        stop = stopped or epochs >= self._epochs
        self._coordinator.restore(replace(state, decision=replace(state.decision, stop=stop)))
        self._coordinator.write_to_model()
        if state.decision.learning_rate is not None:
            rate_variable(self._model.optimizer).assign(state.decision.learning_rate)
        restore(self.callbacks)
        if epochs < self._epochs and not self.stopped:
            with self._errors():
                self._list.on_epoch_begin(epochs)
            self._apply_changes()

    def end_epoch(self, record: EpochRecord) -> EpochRecord:
        """End an epoch, and start the next.

        Called when all workers have finished the epoch; synchronous workers wait
        meanwhile.

        Returns:
            The record with the numbers that callbacks have added to the logs, such as
            ``learning_rate``, as in Keras' own history.
        """
        if self.stopped:
            return record  # asynchronous workers may finish further epochs after the last one
        if not self._idle:
            self._coordinator.write_to_model()
        with self._errors():
            self._list.on_epoch_end(record.epoch - 1, dict(record.metrics))
        record = replace(record, metrics=_numbers(self._logs))
        last = record.epoch == self._epochs
        if not (last or self._model.stop_training):
            with self._errors():
                self._list.on_epoch_begin(record.epoch)
        self._apply_changes()
        self.stopped = bool(self._model.stop_training)
        self._coordinator.proceed(
            EpochDecision(stop=self.stopped or last, learning_rate=self._learning_rate())
        )
        return record

    def end(self, history: Sequence[EpochRecord]) -> None:
        """End the training; the model gets the final weights, unless a callback sets others."""
        self._coordinator.refresh()
        self._coordinator.write_to_model()
        self._coordinator.shared_weights.finish()
        with self._errors():
            self._list.on_train_end(dict(history[-1].metrics) if history else None)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Raise errors of callbacks as a TrainingError that names the callback.

        Exceptions of other classes than Python's own pass through: a callback may end a fit with
        one that its caller expects, as Optuna's does to prune a trial.
        """
        try:
            yield
        except BrokenPipeError:
            raise  # the reader of the output has closed it
        except Exception as error:
            if type(error).__module__ != "builtins":
                raise
            raise TrainingError(
                f"callback {self._raiser(error)}: {describe(error)}. Correct the callback, or fit "
                "without it"
            ) from error

    def _raiser(self, error: BaseException) -> str:
        """Return the callback and its method from which an error came."""
        for frame, _ in traceback.walk_tb(error.__traceback__):
            # First that of Keras' loop over the callbacks.
            for value in frame.f_locals.values():
                if any(value is callback for callback in self.callbacks):
                    return f"{type(value).__name__}.{frame.f_code.co_name}"
        return "list"

    def _keep_logs(self, epoch: int, logs: Mapping[str, Any]) -> None:
        self._logs = logs

    def _apply_changes(self) -> None:
        """Send the workers the weights and the learning rate that callbacks have set."""
        if self._idle:
            return
        weights = read_vector(self._model, self._coordinator.shared_weights.layout)
        if not np.array_equal(weights, self._coordinator.written_weights):
            self._coordinator.replace_weights(weights)
        rate = self._learning_rate()
        if rate is not None:
            self._coordinator.set_learning_rate(rate)

    def _learning_rate(self) -> float | None:
        """Return the rate that callbacks may have set; None where it is not one number."""
        rate = rate_variable(self._model.optimizer)
        return None if self._idle or rate is None else float(rate)


def _numbers(logs: Mapping[str, Any]) -> dict[str, float]:
    """Return the logs that are numbers, without names that a record has itself."""
    numbers = {}
    for name, value in logs.items():
        if name not in RESERVED and np.ndim(value) == 0:
            try:
                numbers[name] = float(value)
            except (TypeError, ValueError):
                continue
    return numbers
