"""History: what each epoch of a fit brought, and which worker did how much of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glasses_spark.training.weights import Vector


@dataclass(frozen=True)
class WorkerShare:
    """One worker's part in one epoch.

    Attributes:
        worker: Number of the worker, from 0.
        rows: Training rows that it used.
        seconds: From its first batch to the last push being answered; what it
            waited for others is in it.
        waiting_seconds: Part of ``seconds`` spent waiting for the server.
        staleness: Mean count of updates by others that the server applied
            between a pull and the push that followed; 0 in synchronous mode.
    """

    worker: int
    rows: int
    seconds: float
    waiting_seconds: float
    staleness: float


@dataclass(frozen=True)
class EpochTotals:
    """The sums over all workers of one epoch, before they become metrics.

    Attributes:
        epoch: Number of the epoch, from 0.
        workers: The workers' parts, those without a row included.
        metric_state: Summed variables of the Keras metrics over the training rows.
        validation_state: The same over the validation rows.
    """

    epoch: int
    workers: tuple[WorkerShare, ...]
    metric_state: Vector
    validation_state: Vector

    @property
    def rows(self) -> int:
        """Training rows used in the epoch by all workers together."""
        return sum(share.rows for share in self.workers)


@dataclass(frozen=True)
class EpochRecord:
    """One line of a fit's history.

    Attributes:
        epoch: Number of the epoch, from 1, as people count.
        metrics: ``loss`` and the model's metrics over the training rows, as
            they were met during the epoch; with the prefix ``val_`` over the
            validation rows, at its end.
        rows: Training rows used.
        workers: Each worker's part.
    """

    epoch: int
    metrics: dict[str, float]
    rows: int
    workers: tuple[WorkerShare, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """The record as the run folder's ``history.json`` has it."""
        return {
            "epoch": self.epoch,
            **self.metrics,
            "rows": self.rows,
            "workers": [
                {
                    "worker": share.worker,
                    "rows": share.rows,
                    "seconds": round(share.seconds, 4),
                    "waiting_seconds": round(share.waiting_seconds, 4),
                    "staleness": round(share.staleness, 4),
                }
                for share in self.workers
            ],
        }


class EpochLedger:
    """Adds up one epoch while its pushes come in; each push is entered once."""

    def __init__(self, workers: int, state_size: int) -> None:
        self._rows = np.zeros(workers, np.int64)
        self._seconds = np.zeros(workers)
        self._waiting = np.zeros(workers)
        self._staleness = np.zeros(workers, np.int64)
        self._pushes = np.zeros(workers, np.int64)
        # A row a worker, added up in their order: sums of floats depend on it.
        self._metric_state = np.zeros((workers, state_size))
        self._validation_state = np.zeros((workers, state_size))
        self.finished: set[int] = set()

    def enter_push(self, worker: int, rows: int, state: Vector, staleness: int) -> None:
        """Enter one push."""
        self._rows[worker] += rows
        self._staleness[worker] += staleness
        self._pushes[worker] += 1
        self._metric_state[worker] += state

    def enter_finish(self, worker: int, state: Vector, seconds: float, waiting: float) -> None:
        """Enter the end of a worker's epoch."""
        self._seconds[worker] += seconds
        self._waiting[worker] += waiting
        self._validation_state[worker] += state
        self.finished.add(worker)

    def totals(self, epoch: int) -> EpochTotals:
        """The sums so far."""
        shares = tuple(
            WorkerShare(
                worker=worker,
                rows=int(self._rows[worker]),
                seconds=float(self._seconds[worker]),
                waiting_seconds=float(self._waiting[worker]),
                staleness=float(self._staleness[worker] / max(1, self._pushes[worker])),
            )
            for worker in range(len(self._rows))
        )
        return EpochTotals(
            epoch, shares, self._metric_state.sum(axis=0), self._validation_state.sum(axis=0)
        )
