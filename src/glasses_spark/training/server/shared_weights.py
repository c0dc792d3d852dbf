"""Master: the weights that all workers share, in the driver, and how an update changes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from glasses_spark.training.server.optimizer_step import GradientStep
from glasses_spark.training.weights import (
    Vector,
    WeightLayout,
    layout_of,
    read_vector,
    write_vector,
)


class Master:
    """The master model's weights, as one flat vector.

    Not thread-safe by itself: the coordinator locks around it, except in
    hogwild mode, where updates may cross each other on purpose.

    Args:
        model: Compiled Keras model. Its weights are where the fit begins; its
            optimizer makes an update out of a gradient.
        workers: Count of workers, at least 1.
        uses_gradients: Whether updates are gradients, for the optimizer, or
            deltas (weights before minus after), to be subtracted as they are.
        staleness_aware: Whether `apply` gives a stale update a smaller share.
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
        self._apply: GradientStep | None = None
        if uses_gradients:
            # Several workers that do not wait for each other are a momentum already.
            momentum = workers == 1 or not staleness_aware
            self._apply = GradientStep(model, self.layout, momentum=momentum)
        values = read_vector(model, self.layout)
        self._trainable = values[: self.layout.trainable_size].copy()
        self._statistics = values[self.layout.trainable_size :].copy()

    def vector(self) -> Vector:
        """A copy of all weights, ``(size,)``."""
        return np.concatenate([self._trainable, self._statistics])

    def replace(self, vector: Vector) -> None:
        """Set all weights, ``(size,)``."""
        self._trainable = vector[: self.layout.trainable_size].copy()
        self._statistics = vector[self.layout.trainable_size :].copy()
        if self._apply is not None:
            self._apply.replace(self._trainable)
        self.version += 1

    def settle(self) -> None:
        """Take over what the last updates left, after hogwild ones crossed each other."""
        if self._apply is not None:
            self._trainable = self._apply.read()

    def write_to_model(self, vector: Vector) -> None:
        """Copy weights ``(size,)`` into the Keras model, and the optimizer's state with them."""
        write_vector(self.model, self.layout, vector)
        if self._apply is not None:
            self._apply.write_state(self.model)

    def set_learning_rate(self, value: float) -> None:
        """Set the rate of the next updates that are gradients."""
        if self._apply is not None:
            self._apply.set_learning_rate(value)

    def apply(self, update: Vector, *, staleness: int = 0) -> None:
        """Apply one worker's update, ``(size,)``: the trainable part, then its statistics.

        Where the master is aware of staleness, a stale update counts in part: what
        others have done since the worker received the weights leads to much the same
        place, and the sum of N such ways beyond it.

        - A delta is divided by ``1 + staleness``, the rule of Zhang, Gupta, Lian and Liu,
          *Staleness-aware Async-SGD for Distributed Deep Learning*, IJCAI 2016, for
          updates counted from 0. Workers of one speed so come to the mean of their
          deltas, and workers that take turns to their sum.
        - A gradient is applied at the learning rate divided by ``sqrt(1 + staleness)``,
          and, with several workers, by an optimizer without ``beta_1``: Mitliagkas,
          Zhang, Hadjis and Ré, *Asynchrony begets Momentum*, Allerton 2016. What
          it gives is measured in docs/distributed-training.md.

        A worker's statistics are drawn in by one part in ``workers``: a mean
        of what is here and what came, so that they stay within the range of
        what the workers have seen, whatever the order.

        Args:
            update: The update.
            staleness: Updates of others since the worker received the weights.
        """
        cut = self.layout.trainable_size
        share = 1.0
        if self._staleness_aware:
            share = (1 + staleness) ** (-1 if self._apply is None else -0.5)
        self._step(update[:cut], share=share)
        seen = update[self.layout.trainable_size :]
        self._statistics += (seen - self._statistics) / self._workers
        self.version += 1

    def apply_mean(self, updates: Sequence[Vector], rows: Sequence[int]) -> None:
        """Apply the mean of several workers' updates, each counted by its rows.

        The sum is made in the order given, so that the same updates give the
        same weights to the last bit.
        """
        total = sum(rows)
        cut = self.layout.trainable_size
        mean = np.zeros(cut, self.layout.dtype)
        drift = np.zeros_like(self._statistics)
        for update, count in zip(updates, rows, strict=True):
            share = np.asarray(count / total, self.layout.dtype)
            mean += update[:cut] * share
            # As a drift from what is here: where nobody changed anything, nothing changes.
            drift += (update[cut:] - self._statistics) * share
        self._step(mean)
        self._statistics += drift
        self.version += 1

    def _step(self, update: Vector, *, share: float = 1.0) -> None:
        if self._apply is None:
            self._trainable -= update * np.asarray(share, self.layout.dtype)
        else:
            self._trainable = self._apply(update, share)
