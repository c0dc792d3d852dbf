"""Job: the Spark job of a fit, in a thread of its own, so that the driver can act meanwhile."""

from __future__ import annotations

import threading
import uuid
from typing import Self

from pyspark import InheritableThread
from pyspark.sql import DataFrame

from glasses_spark.errors import WorkerError
from glasses_spark.training.coordinator import Coordinator, FitEndedError

LONGEST_REASON: int = 500


class TrainingJob:
    """Runs the workers, from ``with`` to the end of the block.

    Args:
        frame: Its partitions are the workers.
        coordinator: Woken when the job has ended; told to send the workers
            home when the block ends by an error.
    """

    def __init__(self, frame: DataFrame, coordinator: Coordinator) -> None:
        self._frame = frame
        self._coordinator = coordinator
        self._context = frame.sparkSession.sparkContext
        self._group = f"glasses-spark-fit-{uuid.uuid4()}"
        self._error: Exception | None = None
        self._ended = threading.Event()
        self._thread = InheritableThread(target=self._collect, name="fit")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._ended.is_set():
            # Workers that wait are sent home; those that compute are cancelled by Spark.
            self._coordinator.fail(FitEndedError("the fit has ended"))
            self._context.cancelJobGroup(self._group)
        self._thread.join()

    def running(self) -> bool:
        """Whether Spark is still at it."""
        return not self._ended.is_set()

    @property
    def error(self) -> WorkerError | None:
        """What ended the job, if it was an error, in one line; Spark's own is its cause."""
        if self._error is None:
            return None
        error = WorkerError(f"the training job failed: {_brief(self._error)}")
        error.__cause__ = self._error
        return error

    def _collect(self) -> None:
        try:
            self._context.setJobGroup(self._group, "train", interruptOnCancel=True)
            self._frame.collect()
        except Exception as error:
            self._error = error
        finally:
            self._ended.set()
            self._coordinator.wake()


def _brief(error: Exception) -> str:
    """The line of a Spark error that says what happened, without the Java stack."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "Error:" in line or "Exception:" in line]
    line = telling[-1] if telling else lines[0] if lines else type(error).__name__
    return line[:LONGEST_REASON]
