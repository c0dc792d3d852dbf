"""History: metrics of each epoch of a fit, and the share of each worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from glasses_spark.errors import TrainingError
from glasses_spark.training.weights import Vector

# Keys of an epoch in the history, besides the metrics.
RESERVED: Final = frozenset(["epoch", "rows", "workers"])


@dataclass(frozen=True)
class WorkerShare:
    """One worker's share of one epoch.

    Attributes:
        worker: Number of the worker, from 0.
        rows: Training rows that it used.
        seconds: Time from its first batch to the answer to its last push, including
            the time that it waited.
        waiting_seconds: Part of ``seconds`` spent waiting for the server.
        staleness: Mean number of other workers' updates that the server applied
            between a pull and the following push; 0 in synchronous mode.
    """

    worker: int
    rows: int
    seconds: float
    waiting_seconds: float
    staleness: float


@dataclass(frozen=True)
class EpochTotals:
    """Sums over all workers of one epoch, from which metrics are computed.

    Attributes:
        epoch: Number of the epoch, from 0.
        workers: The workers' shares, including workers without rows.
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
    """Record of one epoch.

    Attributes:
        epoch: Number of the epoch, from 1.
        metrics: ``loss`` and the model's metrics over the training rows, computed
            during the epoch; with the prefix ``val_`` over the validation rows, computed
            at its end.
        rows: Training rows used.
        workers: Each worker's share.
    """

    epoch: int
    metrics: dict[str, float]
    rows: int
    workers: tuple[WorkerShare, ...] = field(default=())

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the record that ``dataclasses.asdict`` made into a dictionary."""
        workers = tuple(WorkerShare(**share) for share in values["workers"])
        return cls(**{**values, "workers": workers})

    def as_dict(self) -> dict[str, Any]:
        """Return the record as in the run folder's ``history.json``."""
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
    """Sums up one epoch while the workers push; each push is entered once.

    Args:
        workers: Number of workers.
        state_size: Length of the metrics' state.
        carried: Whether the state of a push is that of all batches of the epoch so far.
    """

    def __init__(self, workers: int, state_size: int, *, carried: bool = False) -> None:
        self._carried = carried
        self._rows = np.zeros(workers, np.int64)
        self._seconds = np.zeros(workers)
        self._waiting = np.zeros(workers)
        self._staleness = np.zeros(workers, np.int64)
        self._pushes = np.zeros(workers, np.int64)
        # One row for each worker, summed in a fixed order: float sums depend on the order.
        self._metric_state = np.zeros((workers, state_size))
        self._validation_state = np.zeros((workers, state_size))
        self.finished: set[int] = set()

    def enter_push(self, worker: int, rows: int, state: Vector, staleness: int) -> None:
        """Enter one push of a worker.

        Args:
            worker: Number of the worker, from 0.
            rows: Training rows of the push.
            state: State of the metrics, ``(state_size,)``, over these rows, or all so far.
            staleness: Updates of other workers since the worker's last pull.
        """
        self._rows[worker] += rows
        self._staleness[worker] += staleness
        self._pushes[worker] += 1
        if self._carried:
            self._metric_state[worker] = state
        else:
            self._metric_state[worker] += state

    def enter_finish(self, worker: int, state: Vector, seconds: float, waiting: float) -> None:
        """Enter the end of a worker's epoch.

        Args:
            worker: Number of the worker, from 0.
            state: State of the metrics over its validation rows, ``(state_size,)``.
            seconds: Duration of its epoch.
            waiting: Seconds of it spent waiting for the server.
        """
        self._seconds[worker] += seconds
        self._waiting[worker] += waiting
        self._validation_state[worker] += state
        self.finished.add(worker)

    def metric_state(self, worker: int) -> Vector:
        """Return a copy of the state of a worker's metrics so far, ``(state_size,)``."""
        return np.array(self._metric_state[worker])

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of the sums by name, for a checkpoint."""
        finished = np.isin(np.arange(len(self._rows)), list(self.finished))
        return {
            "rows": self._rows.copy(),
            "seconds": self._seconds.copy(),
            "waiting": self._waiting.copy(),
            "staleness": self._staleness.copy(),
            "pushes": self._pushes.copy(),
            "metric_state": self._metric_state.copy(),
            "validation_state": self._validation_state.copy(),
            "finished": finished,
        }

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Set the sums.

        Args:
            arrays: Result of `arrays` of a ledger of the same workers and metrics.

        Raises:
            TrainingError: An array has another shape.
        """
        for name, own in self.arrays().items():
            if arrays[name].shape != own.shape:
                raise TrainingError(
                    f"the checkpoint is of other workers or metrics: {name}: expected the shape "
                    f"{own.shape}, got {arrays[name].shape}. Delete the checkpoint"
                )
            if name == "finished":
                self.finished = {int(worker) for worker in np.flatnonzero(arrays[name])}
            else:
                vars(self)[f"_{name}"] = arrays[name].astype(own.dtype)

    @property
    def rows(self) -> int:
        """Training rows so far, of all workers."""
        return int(self._rows.sum())

    def totals(self, epoch: int) -> EpochTotals:
        """Return the sums so far; ``epoch`` counts from 0."""
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
