"""Schedule: who pushes what and when, known before a fit begins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from glasses_spark.errors import ConfigError
from glasses_spark.seeds import derive_seed

SYNCHRONOUS: Final = "synchronous"
ASYNCHRONOUS: Final = "asynchronous"
HOGWILD: Final = "hogwild"
MODES: Final = (SYNCHRONOUS, ASYNCHRONOUS, HOGWILD)

BATCH: Final = "batch"
EPOCH: Final = "epoch"
FREQUENCIES: Final = (BATCH, EPOCH)


@dataclass(frozen=True)
class Schedule:
    """The course of one fit.

    Attributes:
        mode: One of `MODES`.
        frequency: One of `FREQUENCIES`: a push for each batch, or for each epoch.
        epochs: Passes over the rows, at least 1.
        batch_size: Rows in one step of one worker, at least 1.
        rows: Training rows of each worker.
        validation_rows: Validation rows of each worker.
    """

    mode: str
    frequency: str
    epochs: int
    batch_size: int
    rows: tuple[int, ...]
    validation_rows: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise ConfigError(f"mode: expected one of {', '.join(MODES)}, got {self.mode!r}")
        if self.frequency not in FREQUENCIES:
            wanted = ", ".join(FREQUENCIES)
            raise ConfigError(f"frequency: expected one of {wanted}, got {self.frequency!r}")
        for name in ("epochs", "batch_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name}: expected a whole number of at least 1, got {value!r}")

    @property
    def workers(self) -> int:
        """Count of workers, the idle ones included."""
        return len(self.rows)

    @property
    def synchronous(self) -> bool:
        """Whether the workers wait for one another."""
        return self.mode == SYNCHRONOUS

    @property
    def steps_per_epoch(self) -> int:
        """Pushes in an epoch of the worker that has most of them."""
        return max(self.steps(worker) for worker in range(self.workers))

    def steps(self, worker: int) -> int:
        """Pushes of a worker in an epoch; 0 where it has no row."""
        if self.frequency == EPOCH:
            return 1 if self.rows[worker] else 0
        return -(-self.rows[worker] // self.batch_size)

    def rows_in_push(self, worker: int, step: int) -> int:
        """Rows behind one push of a worker; the last batch may be a small one."""
        if self.frequency == EPOCH:
            return self.rows[worker]
        return min(self.batch_size, self.rows[worker] - step * self.batch_size)

    def takes_part(self, worker: int) -> bool:
        """Whether a worker has anything to do."""
        return bool(self.rows[worker] or self.validation_rows[worker])


def share(rows: int, workers: int) -> tuple[int, ...]:
    """Share rows among workers, equally to within one row.

    Returns:
        The count of each worker; the sum is ``rows``.
    """
    return tuple(
        (worker + 1) * rows // workers - worker * rows // workers for worker in range(workers)
    )


def epoch_order(rows: int, *, seed: int, worker: int, epoch: int) -> npt.NDArray[np.int64]:
    """The order in which a worker goes through its rows in one epoch.

    Args:
        rows: Rows of the worker.
        seed: Seed of the run.
        worker: Number of the worker, from 0.
        epoch: Number of the epoch, from 0.

    Returns:
        A permutation of ``range(rows)``. A worker that starts again in the
        middle of an epoch gets the same one, and so knows what is left.
    """
    generator = np.random.default_rng(derive_seed(seed, "shuffle", worker, epoch))
    return generator.permutation(rows)
