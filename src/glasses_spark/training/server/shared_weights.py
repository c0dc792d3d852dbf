"""Shared weights: the weights that all workers train, kept in the driver."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from glasses_spark.training.optimizers import state_variables, unpack
from glasses_spark.training.server.optimizer_step import OptimizerStep
from glasses_spark.training.server.protocol import ProtocolError
from glasses_spark.training.weights import (
    Vector,
    WeightLayout,
    layout_of,
    read_vector,
    write_vector,
)


class SharedWeights:
    """The shared weights as one flat vector.

    Not thread-safe by itself: the coordinator calls it with its lock held, except
    in hogwild mode, in which updates may overlap.

    Args:
        model: Compiled Keras model. A fit starts from its weights; its
            optimizer makes an update of a gradient.
        workers: Number of workers, at least 1.
        uses_gradients: Whether updates are gradients for the optimizer, or
            deltas (weights before minus after), which are subtracted.
        staleness_aware: Whether `apply` scales down a stale update.

    Attributes:
        model: The Keras model.
        layout: Layout of the vectors.
        version: Number of changes so far.
    """

    def __init__(
        self,
        model: Any,
        *,
        workers: int,
        uses_gradients: bool,
        staleness_aware: bool = False,
    ) -> None:
        self.model = model
        self.layout: WeightLayout = layout_of(model)
        self.version = 0
        self._workers = workers
        self._staleness_aware = staleness_aware
        self._optimizer: OptimizerStep | None = None
        self._state_parts: dict[int, Vector] = {}
        if uses_gradients:
            # Several asynchronous workers act like momentum already.
            momentum = workers == 1 or not staleness_aware
            self._optimizer = OptimizerStep(
                model, self.layout, momentum=momentum, scaled=staleness_aware
            )
        values = read_vector(model, self.layout)
        self._trainable = values[: self.layout.trainable_size].copy()
        self._statistics = values[self.layout.trainable_size :].copy()

    def vector(self) -> Vector:
        """Return a copy of all weights, ``(size,)``."""
        return np.concatenate([self._trainable, self._statistics])

    def replace(self, vector: Vector) -> None:
        """Set all weights, ``(size,)``."""
        self._trainable = vector[: self.layout.trainable_size].copy()
        self._statistics = vector[self.layout.trainable_size :].copy()
        if self._optimizer is not None:
            self._optimizer.replace(self._trainable)
        self.version += 1

    def refresh(self) -> None:
        """Read the weights back from the optimizer, after overlapping hogwild updates."""
        if self._optimizer is not None:
            self._trainable = self._optimizer.read()

    def write_to_model(self, vector: Vector) -> None:
        """Copy weights ``(size,)`` and the state of the optimizer into the Keras model."""
        write_vector(self.model, self.layout, vector)
        if self._optimizer is not None:
            self._optimizer.write_state(self.model)
        elif self._state_parts and len(self._state_parts) == self._expected_parts():
            variables = state_variables(self.model.optimizer)
            parts = [self._state_parts[part] for part in sorted(self._state_parts)]
            for variable, array in zip(variables, unpack(parts, variables), strict=True):
                variable.assign(array)

    def receive_state(self, part: int, vector: Vector) -> None:
        """Keep a part of the state of a worker's own optimizer, as `optimizers.pack` returns it.

        Raises:
            ProtocolError: The state has no such part.
        """
        expected = self._expected_parts()
        if part >= expected:
            raise ProtocolError(f"part: expected a number below {expected}, got {part}")
        self._state_parts[part] = vector.copy()

    def _expected_parts(self) -> int:
        optimizer = self.model.optimizer
        if not optimizer.built:
            optimizer.build(list(self.model.trainable_weights))
        nbytes: int = sum(variable.numpy().nbytes for variable in state_variables(optimizer))
        return -(-nbytes // self.layout.nbytes)

    def finish(self) -> None:
        """Let the optimizer finish the model's weights, as ``keras.Model.fit`` does at its end.

        With ``use_ema`` they become the moving average. Called after `write_to_model`.
        """
        if self.model.optimizer.built:
            self.model.optimizer.finalize_variable_values(self.model.trainable_weights)

    def set_learning_rate(self, value: float) -> None:
        """Set the learning rate for gradients; deltas are not affected."""
        if self._optimizer is not None:
            self._optimizer.set_learning_rate(value)

    def apply(self, update: Vector, *, staleness: int = 0) -> None:
        """Apply the update of one worker.

        With ``staleness_aware``, a stale update is scaled down, because updates of
        several workers that started from the same weights point in similar directions:

        - A delta is divided by ``1 + staleness``, the rule of Zhang, Gupta, Lian and Liu,
          *Staleness-aware Async-SGD for Distributed Deep Learning*, IJCAI 2016, for
          updates counted from 0. Workers of equal speed thus apply the mean of their
          deltas, and workers that take turns their sum.
        - A gradient is applied at the learning rate divided by ``sqrt(1 + staleness)``
          and, with several workers, by an optimizer without ``beta_1``: Mitliagkas,
          Zhang, Hadjis and Ré, *Asynchrony begets Momentum*, Allerton 2016.
          docs/distributed-training.md shows the measured effect.

        The statistics move by ``1 / workers`` of their distance to the worker's
        statistics. They are a mean, and so stay within the range of the workers' values.

        Args:
            update: Trainable part and statistics, ``(size,)``.
            staleness: Number of updates by others since the worker's last pull.
        """
        cut = self.layout.trainable_size
        share = 1.0
        if self._staleness_aware:
            share = (1 + staleness) ** (-1 if self._optimizer is None else -0.5)
        self._step(update[:cut], share=share)
        self._statistics += (update[cut:] - self._statistics) / self._workers
        self.version += 1

    def apply_mean(self, updates: Sequence[Vector], rows: Sequence[int]) -> None:
        """Apply the mean of several workers' updates, weighted by their rows.

        The updates are summed in the given order, so that equal updates give
        equal weights to the last bit.

        Args:
            updates: One update per worker, ``(size,)``.
            rows: Number of rows behind each update.
        """
        total = sum(rows)
        cut = self.layout.trainable_size
        mean = np.zeros(cut, self.layout.dtype)
        drift = np.zeros_like(self._statistics)
        for update, count in zip(updates, rows, strict=True):
            share = np.asarray(count / total, self.layout.dtype)
            mean += update[:cut] * share
            # The difference, so that unchanged statistics stay the same to the last bit.
            drift += (update[cut:] - self._statistics) * share
        self._step(mean)
        self._statistics += drift
        self.version += 1

    def _step(self, update: Vector, *, share: float = 1.0) -> None:
        if self._optimizer is None:
            self._trainable -= update * np.asarray(share, self.layout.dtype)
        else:
            self._trainable = self._optimizer(update, share)
