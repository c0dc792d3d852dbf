"""Callbacks: Keras callbacks in the driver, between the epochs of all workers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.history import EpochRecord
from glasses_spark.training.server.coordinator import Coordinator
from glasses_spark.training.server.state import Verdict
from glasses_spark.training.weights import read_vector


class CallbackRunner:
    """Calls back as ``keras.Model.fit`` does, and tells the workers what came of it.

    Args:
        model: The master model, which callbacks read, save and change.
        callbacks: Keras callbacks.
        coordinator: The fit.
    """

    def __init__(self, model: Any, callbacks: Sequence[Any], coordinator: Coordinator) -> None:
        schedule = coordinator.schedule
        self.stopped = False
        self._model = model
        self._coordinator = coordinator
        self._epochs = schedule.epochs
        self._idle = not callbacks
        self._list = import_keras().callbacks.CallbackList(
            list(callbacks),
            model=model,
            epochs=schedule.epochs,
            steps=schedule.steps_per_epoch,
            verbose=0,
        )

    def begin(self) -> None:
        """Before any worker starts: callbacks may load weights or set the learning rate."""
        self._model.stop_training = False
        self._list.on_train_begin()
        self._list.on_epoch_begin(0)
        self._take_over()
        self._coordinator.begin(Verdict(stop=False, learning_rate=self._learning_rate()))

    def end_epoch(self, record: EpochRecord) -> None:
        """After all workers have ended an epoch, and before synchronous ones begin the next."""
        if self.stopped:
            return  # asynchronous workers may end further epochs after the one that was the last
        if not self._idle:
            self._coordinator.write_to_model()
        self._list.on_epoch_end(record.epoch - 1, dict(record.metrics))
        last = record.epoch == self._epochs
        if not (last or self._model.stop_training):
            self._list.on_epoch_begin(record.epoch)
        self._take_over()
        self.stopped = bool(self._model.stop_training)
        self._coordinator.proceed(
            Verdict(stop=self.stopped or last, learning_rate=self._learning_rate())
        )

    def end(self, history: Sequence[EpochRecord]) -> None:
        """After the last epoch; the model has the final weights, unless a callback sets others."""
        self._coordinator.settle()
        self._coordinator.write_to_model()
        self._list.on_train_end(dict(history[-1].metrics) if history else None)

    def _take_over(self) -> None:
        """Give the workers what callbacks set: the best weights so far, another learning rate."""
        if self._idle:
            return
        now = read_vector(self._model, self._coordinator.master.layout)
        if not np.array_equal(now, self._coordinator.written):
            self._coordinator.replace_weights(now)
        rate = self._learning_rate()
        if rate is not None:
            self._coordinator.set_learning_rate(rate)

    def _learning_rate(self) -> float | None:
        """The rate that callbacks may have set; None where a schedule makes it from the step."""
        keras = import_keras()
        optimizer = self._model.optimizer
        # The public property gives a schedule's present value, and no sign that it is one.
        scheduled = keras.optimizers.schedules.LearningRateSchedule
        if self._idle or isinstance(optimizer._learning_rate, scheduled):
            return None
        return float(optimizer.learning_rate)
