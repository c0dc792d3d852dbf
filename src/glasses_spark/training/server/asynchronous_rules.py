"""Asynchronous rules: how updates of workers that do not wait become steps of the weights."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from glasses_spark.config.training import EPOCH, SHARED_BATCH, SYNCHRONOUS, TrainingSettings
from glasses_spark.errors import TrainingError
from glasses_spark.training.weights import Vector


@dataclass(frozen=True)
class Step:
    """A step that the shared weights take now.

    Attributes:
        update: Gradient or delta of the trainable weights, ``(trainable_size,)``.
        share: Factor of the learning rate, or of the delta, in (0, 1].
    """

    update: Vector
    share: float = 1.0


class EveryUpdate:
    """Each update is a step in full, as in Elephas; the rule of synchronous workers, too.

    Attributes:
        look_ahead: A worker that does not wait for a step computes at the shared weights plus
            this multiple of their last change.
        keeps_momentum: Whether the optimizer keeps its ``beta_1``.
        scales_rate: Whether a step may have a share of the learning rate below 1.
    """

    look_ahead = 0.0
    keeps_momentum = True
    scales_rate = False

    def step(self, update: Vector, rows: int, staleness: int) -> Step | None:
        """Take the update of one worker.

        Args:
            update: Gradient or delta of the trainable weights, ``(trainable_size,)``.
            rows: Number of rows behind it.
            staleness: Number of steps since the worker's last pull.

        Returns:
            The step to take now; None if there is none yet.
        """
        return Step(update)

    def remainder(self) -> Step | None:
        """Return the step of the updates that are left after the last one."""
        return None

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of the arrays from which `restore` continues, by name."""
        return {}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Continue from the result of `arrays`, of vectors of the same length."""


class ScaledDeltas(EveryUpdate):
    """Each delta divided by ``1 + staleness``, for workers with optimizers of their own.

    Deltas of several workers that started from the same weights point in similar directions.
    Workers of equal speed thus apply the mean of their deltas, and workers that take turns
    their sum. This is the rule of Zhang, Gupta, Lian and Liu, *Staleness-aware Async-SGD for
    Distributed Deep Learning*, IJCAI 2016, for updates counted from 0.
    """

    def step(self, update: Vector, rows: int, staleness: int) -> Step:
        """Return the scaled step."""
        return Step(update, 1 / (1 + staleness))


class ScaledRate(EveryUpdate):
    """Each gradient is a step at the learning rate divided by ``sqrt(1 + staleness)``.

    The optimizer runs without ``beta_1``, because asynchronous workers act like momentum:
    Mitliagkas, Zhang, Hadjis and Ré, *Asynchrony begets Momentum*, Allerton 2016.
    """

    keeps_momentum = False
    scales_rate = True

    def step(self, update: Vector, rows: int, staleness: int) -> Step:
        """Return the scaled step."""
        return Step(update, (1 + staleness) ** -0.5)


class SharedBatch(EveryUpdate):
    """The gradients of several workers that together have the rows of a batch are one step.

    So the optimizer takes as many steps as in one process, of as many rows each. A worker waits
    for the step that its update is a part of, but no longer than it computed. If it goes on
    before, its next update will be one step old when it counts. The next step will be close to the
    last one, so the worker computes ahead of the weights by 0.9 times the last step: the
    look-ahead of Hakimi, Barkai, Gabel and Schuster, *Taming Momentum in a Distributed
    Asynchronous Environment*, 2019, for all optimizers.

    The sum has a lock of its own, so that also hogwild workers lose no update.

    Args:
        size: Number of trainable weights.
        dtype: Type of the weights.
        batch_size: Rows of a step.
        rows: Rows of an update; the last one of an epoch may have fewer.
    """

    look_ahead = 0.9

    def __init__(self, size: int, dtype: str, *, batch_size: int, rows: int) -> None:
        # Half an update, so that steps have batch_size rows on average.
        self._due = batch_size - rows / 2
        self._sum = np.zeros(size, dtype)
        self._rows = 0
        self._counting = threading.Lock()

    def step(self, update: Vector, rows: int, staleness: int) -> Step | None:
        """Add an update; return the mean of the rows if there are enough."""
        weighted = update * np.asarray(rows, update.dtype)
        with self._counting:
            self._sum += weighted
            self._rows += rows
            return self.remainder() if self._rows >= self._due else None

    def remainder(self) -> Step | None:
        """Return the mean of the rows that no step has used yet."""
        if not self._rows:
            return None
        mean = self._sum / np.asarray(self._rows, self._sum.dtype)
        self._sum[:], self._rows = 0, 0
        return Step(mean)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the sum of the gradients, and its number of rows."""
        return {"sum": self._sum.copy(), "rows": np.array([self._rows])}

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Continue from the result of `arrays`.

        Raises:
            TrainingError: They are those of other weights, or are missing.
        """
        total, rows = arrays.get("sum"), arrays.get("rows")
        if total is None or rows is None or total.shape != self._sum.shape or rows.shape != (1,):
            raise TrainingError(
                "the checkpoint lacks the updates that wait for a step. Delete it, or use the "
                "asynchronous_rule that it was written with"
            )
        self._sum[:] = total
        self._rows = int(rows[0])


def update_rows(settings: TrainingSettings, workers: int) -> int:
    """Return the rows that a worker computes at a time.

    Args:
        settings: Settings of the fit.
        workers: Number of workers.
    """
    return -(-settings.batch_size // workers) if _shares(settings, workers) else settings.batch_size


def rule_of(settings: TrainingSettings, workers: int, *, size: int, dtype: str) -> EveryUpdate:
    """Return the rule of a fit.

    Args:
        settings: Settings of the fit.
        workers: Number of workers.
        size: Number of trainable weights.
        dtype: Type of the weights.
    """
    if not _is_aware(settings, workers):
        return EveryUpdate()
    if settings.frequency == EPOCH:
        return ScaledDeltas()
    if not _shares(settings, workers):
        return ScaledRate()
    return SharedBatch(
        size, dtype, batch_size=settings.batch_size, rows=update_rows(settings, workers)
    )


def _is_aware(settings: TrainingSettings, workers: int) -> bool:
    """Return whether updates may be stale, and the rule takes that into account."""
    return settings.mode != SYNCHRONOUS and settings.staleness_aware and workers > 1


def _shares(settings: TrainingSettings, workers: int) -> bool:
    return _is_aware(settings, workers) and settings.asynchronous_rule == SHARED_BATCH
