"""Ledgers: sums over the pushes of each epoch, until the driver takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from glasses_spark.training.history import EpochLedger, EpochTotals
from glasses_spark.training.schedule import Schedule
from glasses_spark.training.server.calls import EpochEnd
from glasses_spark.training.weights import Vector


class OpenLedgers:
    """One ledger for each epoch that some worker has not finished.

    Asynchronous workers may be in different epochs. Not thread-safe: the
    coordinator calls it with its lock held.

    Args:
        schedule: Steps and rows of each worker.
        state_size: Number of values in the state of the model's metrics.
        carried: Whether the state of a push is that of all batches of the epoch so far.

    Attributes:
        participants: Number of workers with rows.
    """

    def __init__(self, schedule: Schedule, state_size: int, *, carried: bool = False) -> None:
        self._carried = carried
        self._workers = schedule.workers
        self.participants = sum(schedule.takes_part(worker) for worker in range(schedule.workers))
        self._state_size = state_size
        self._ledgers: dict[int, EpochLedger] = {}

    def enter_push(
        self, epoch: int, worker: int, *, rows: int, metric_state: Vector, staleness: int
    ) -> None:
        """Add one push of a worker to an epoch.

        Args:
            epoch: Number of the epoch, from 0.
            worker: Number of the worker, from 0.
            rows: Number of rows behind the push.
            metric_state: State of the metrics, ``(state_size,)``, over these rows, or all so far.
            staleness: Number of steps of the weights since the worker's last pull.
        """
        self._ledger(epoch).enter_push(worker, rows, metric_state, staleness)

    def enter_finish(self, epoch: int, worker: int, end: EpochEnd) -> None:
        """Add the end of a worker's epoch."""
        self._ledger(epoch).enter_finish(worker, end.validation_state, end.seconds, end.waiting)

    def pop_finished(self) -> EpochTotals | None:
        """Return the totals of the first epoch, if all workers have finished it, and drop it."""
        if not self._ledgers:
            return None
        epoch = min(self._ledgers)
        if len(self._ledgers[epoch].finished) < self.participants:
            return None
        return self._ledgers.pop(epoch).totals(epoch)

    def carried_state(self, epoch: int, worker: int) -> Vector | None:
        """Return the state with which a worker goes on within an epoch; None if it needs none."""
        return self._ledger(epoch).metric_state(worker) if self._carried else None

    def arrays(self) -> dict[int, dict[str, npt.NDArray[Any]]]:
        """Return the sums of each epoch that was not taken, by name."""
        return {epoch: ledger.arrays() for epoch, ledger in self._ledgers.items()}

    def restore(self, epoch: int, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Set the sums of an epoch.

        Raises:
            TrainingError: The sums are of other workers or metrics.
        """
        self._ledger(epoch).restore(arrays)

    def oldest(self) -> tuple[int, int] | None:
        """Return the first epoch with pushes that is not finished, and its rows so far."""
        if not self._ledgers:
            return None
        epoch = min(self._ledgers)
        return epoch, self._ledgers[epoch].rows

    def _ledger(self, epoch: int) -> EpochLedger:
        if epoch not in self._ledgers:
            self._ledgers[epoch] = EpochLedger(
                self._workers, self._state_size, carried=self._carried
            )
        return self._ledgers[epoch]
