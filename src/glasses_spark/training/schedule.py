"""Schedule: the pushes of all workers of a fit, known before it begins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from glasses_spark.config.training import EPOCH, SYNCHRONOUS
from glasses_spark.seeds import derive_seed


@dataclass(frozen=True)
class Schedule:
    """Schedule of one fit.

    Attributes:
        mode: ``synchronous``, ``asynchronous`` or ``hogwild``.
        frequency: ``batch`` or ``epoch``: a push for each batch, or for each epoch.
        epochs: Passes over the rows, at least 1.
        batch_size: Rows in a batch, at least 1.
        rows: Training rows of each worker.
        validation_rows: Validation rows of each worker.
        update_rows: Training rows that a worker computes at a time; 0 takes a batch.
    """

    mode: str
    frequency: str
    epochs: int
    batch_size: int
    rows: tuple[int, ...]
    validation_rows: tuple[int, ...]
    update_rows: int = 0

    @property
    def training_batch_size(self) -> int:
        """Training rows that a worker computes at a time."""
        return self.update_rows or self.batch_size

    @property
    def workers(self) -> int:
        """Number of workers, including those without rows."""
        return len(self.rows)

    @property
    def synchronous(self) -> bool:
        """Whether the workers wait for one another."""
        return self.mode == SYNCHRONOUS

    @property
    def steps_per_epoch(self) -> int:
        """Pushes in an epoch of the worker with the most pushes."""
        return max(self.steps(worker) for worker in range(self.workers))

    @property
    def first_worker(self) -> int:
        """The first worker that has training rows."""
        return next(worker for worker, rows in enumerate(self.rows) if rows)

    def steps(self, worker: int) -> int:
        """Return the pushes of a worker in an epoch; 0 if it has no rows."""
        if self.frequency == EPOCH:
            return 1 if self.rows[worker] else 0
        return -(-self.rows[worker] // self.training_batch_size)

    def rows_in_push(self, worker: int, step: int) -> int:
        """Return the rows of one push of a worker; the last batch may be smaller."""
        if self.frequency == EPOCH:
            return self.rows[worker]
        size = self.training_batch_size
        return min(size, self.rows[worker] - step * size)

    def takes_part(self, worker: int) -> bool:
        """Return whether a worker has training or validation rows."""
        return bool(self.rows[worker] or self.validation_rows[worker])


def share(rows: int, workers: int) -> tuple[int, ...]:
    """Distribute rows to workers, equally to within one row.

    Returns:
        The rows of each worker; their sum is ``rows``.
    """
    return tuple(
        (worker + 1) * rows // workers - worker * rows // workers for worker in range(workers)
    )


def hosted_workers(task: int, *, tasks: int, workers: int) -> range:
    """Return the numbers of the workers that a task hosts.

    Args:
        task: Number of the task, from 0.
        tasks: Number of tasks, at most ``workers``.
        workers: Number of workers.
    """
    return range(task * workers // tasks, (task + 1) * workers // tasks)


def epoch_order(rows: int, *, seed: int, worker: int, epoch: int) -> npt.NDArray[np.int64]:
    """Return the order in which a worker trains on its rows in one epoch.

    Args:
        rows: Rows of the worker.
        seed: Seed of the run.
        worker: Number of the worker, from 0.
        epoch: Number of the epoch, from 0.

    Returns:
        A permutation of ``range(rows)``. A worker that is restarted in the middle of an
        epoch gets the same one, and continues where it was interrupted.
    """
    generator = np.random.default_rng(derive_seed(seed, "shuffle", worker, epoch))
    return generator.permutation(rows)
