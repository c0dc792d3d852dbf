"""Ledgers: sums over the pushes of each epoch, until all workers have finished it."""

from __future__ import annotations

from glasses_spark.training.history import EpochLedger, EpochTotals
from glasses_spark.training.schedule import Schedule
from glasses_spark.training.weights import Vector


class OpenLedgers:
    """One ledger for each epoch that some worker has not finished.

    Asynchronous workers may be in different epochs. Not thread-safe: the
    coordinator calls it with its lock held.

    Args:
        schedule: Steps and rows of each worker.
        state_size: Number of values in the state of the model's metrics.

    Attributes:
        participants: Number of workers with rows.
    """

    def __init__(self, schedule: Schedule, state_size: int) -> None:
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
            metric_state: State of the metrics over these rows, ``(state_size,)``.
            staleness: Number of updates by others since the worker's last pull.
        """
        self._ledger(epoch).enter_push(worker, rows, metric_state, staleness)

    def enter_finish(
        self, epoch: int, worker: int, *, validation_state: Vector, seconds: float, waiting: float
    ) -> EpochTotals | None:
        """Add the end of a worker's epoch.

        Args:
            epoch: Number of the epoch, from 0.
            worker: Number of the worker, from 0.
            validation_state: State of the metrics over the worker's validation
                rows, ``(state_size,)``.
            seconds: Duration of the epoch.
            waiting: Seconds of it that the worker waited for the server.

        Returns:
            Totals of the epoch after its last worker; None before.
        """
        ledger = self._ledger(epoch)
        ledger.enter_finish(worker, validation_state, seconds, waiting)
        if len(ledger.finished) < self.participants:
            return None
        return self._ledgers.pop(epoch).totals(epoch)

    def oldest(self) -> tuple[int, int] | None:
        """Return the first epoch with pushes that is not finished, and its rows so far."""
        if not self._ledgers:
            return None
        epoch = min(self._ledgers)
        return epoch, self._ledgers[epoch].rows

    def _ledger(self, epoch: int) -> EpochLedger:
        if epoch not in self._ledgers:
            self._ledgers[epoch] = EpochLedger(self._workers, self._state_size)
        return self._ledgers[epoch]
