"""Worker: the share of one worker, and the state that it keeps between its steps.

A worker is a share of the rows with its own order of them, random numbers and, with
``frequency="epoch"``, optimizer. The task that hosts it computes its steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from glasses_spark.errors import WorkerError
from glasses_spark.training.schedule import Schedule, epoch_order
from glasses_spark.training.server.calls import Position, RandomStates
from glasses_spark.training.worker.assignment import Assignment
from glasses_spark.training.worker.spool import Batch, Rows, Spool
from glasses_spark.training.worker.texts import Texts


class Worker:
    """One worker of a fit, as a context manager that holds its rows.

    Args:
        assignment: Settings of the fit.
        number: Number of the worker, from 0.
        folder: Folder for the files of its rows; None takes the system's temporary folder.
        texts: Strings of the rows.

    Attributes:
        number: Number of the worker, from 0.
        position: Its next step.
        random_states: State of its random generators before that step; empty before the
            first.
        metric_state: State of the metrics before that step, within an epoch that it did not
            begin; None otherwise.
        optimizer_state: State of its own optimizer before that step; None before the first.
    """

    def __init__(
        self, assignment: Assignment, number: int, folder: str | None, texts: Texts
    ) -> None:
        self.number = number
        self.position = Position(0, 0)
        self.random_states: RandomStates = ()
        self.metric_state: Sequence[float] | None = None
        self.optimizer_state: list[npt.NDArray[Any]] | None = None
        self._schedule: Schedule = assignment.schedule
        self._seed = assignment.seed
        self._training, self._validation = (
            Spool(assignment.row_format, folder, texts) for _ in range(2)
        )
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(self._training)
        self._stack.enter_context(self._validation)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    @property
    def rows(self) -> int:
        """Number of training rows."""
        return len(self._training)

    @property
    def validation_rows(self) -> int:
        """Number of validation rows."""
        return len(self._validation)

    @property
    def steps(self) -> int:
        """Pushes in an epoch."""
        return self._schedule.steps(self.number)

    def append(
        self, rows: Rows, keys: npt.NDArray[np.int64], is_validation: npt.NDArray[np.bool_]
    ) -> None:
        """Write rows of this worker; the arguments have one value for each row."""
        self._training.append(rows[~is_validation], keys[~is_validation])
        self._validation.append(rows[is_validation], keys[is_validation])

    def close_for_reading(self) -> None:
        """End the writing.

        Raises:
            WorkerError: The rows are not as many as the driver has counted.
        """
        self._training.close_for_reading()
        self._validation.close_for_reading()
        self._require("training", self.rows, self._schedule.rows)
        self._require("validation", self.validation_rows, self._schedule.validation_rows)

    def batches(self, epoch: int, *, first: int = 0) -> Iterator[Batch]:
        """Read the training rows of an epoch in their order, from batch ``first``."""
        order = epoch_order(self.rows, seed=self._seed, worker=self.number, epoch=epoch)
        return self._training.batches(order, self._schedule.training_batch_size, first=first)

    def validation_batches(self) -> Iterator[Batch]:
        """Read the validation rows."""
        return self._validation.batches(np.arange(self.validation_rows), self._schedule.batch_size)

    def _require(self, kind: str, rows: int, shares: tuple[int, ...]) -> None:
        if rows != shares[self.number]:
            raise WorkerError(
                f"worker {self.number}: expected {shares[self.number]} {kind} rows, got {rows}. "
                "The input returned other rows when Spark read it again. Make it deterministic, "
                "or write it to Parquet before the fit"
            )
