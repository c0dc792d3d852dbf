"""Job: the Spark job of a fit, in a thread of its own, so that the driver can act meanwhile."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from typing import Final, Self

from pyspark import InheritableThread
from pyspark.sql import DataFrame

from glasses_spark.errors import WorkerError
from glasses_spark.training.callbacks import CallbackRunner
from glasses_spark.training.history import EpochRecord, EpochTotals
from glasses_spark.training.metric_states import MetricStates
from glasses_spark.training.schedule import Schedule
from glasses_spark.training.server.coordinator import Coordinator
from glasses_spark.training.server.state import FitEndedError

logger = logging.getLogger(__name__)

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


# A job that is lost again and again is not worth starting once more.
RESTARTS: Final = 3


def follow_job(
    coordinator: Coordinator,
    runner: CallbackRunner,
    states: MetricStates,
    workers: Callable[[], DataFrame],
) -> list[EpochRecord]:
    """Run the workers, and take the epochs from them as they end.

    A job that is lost with a worker is run again: the coordinator has every
    push that came in, and the new workers go on from there.
    """
    history: list[EpochRecord] = []
    for restarts_left in reversed(range(RESTARTS + 1)):
        coordinator.restart()
        # A frame of its own each time: Spark remembers how the last one ended.
        with TrainingJob(workers(), coordinator) as job:
            while (totals := coordinator.next_epoch(running=job.running)) is not None:
                record = _record(totals, states, coordinator.schedule)
                history.append(record)
                logger.debug("epoch %d: %s", record.epoch, record.metrics)
                runner.end_epoch(record)
        if job.error is None:
            break
        # Where no worker has come, as they do not find the driver or their own modules,
        # they will not the next time: Spark has tried several times itself.
        if not restarts_left or not coordinator.has_been_joined():
            raise job.error
        logger.warning(
            "%s. The workers are started again, from epoch %d on", job.error, len(history) + 1
        )
    if len(history) < coordinator.schedule.epochs and not runner.stopped:
        raise WorkerError(
            f"expected {coordinator.schedule.epochs} epochs of all workers, got {len(history)}"
        )
    return history


def _record(totals: EpochTotals, states: MetricStates, schedule: Schedule) -> EpochRecord:
    metrics = states.results(totals.metric_state)
    if sum(schedule.validation_rows):
        validation = states.results(totals.validation_state)
        metrics |= {f"val_{name}": value for name, value in validation.items()}
    return EpochRecord(totals.epoch + 1, metrics, totals.rows, totals.workers)


def require_all_rows(history: Sequence[EpochRecord], schedule: Schedule) -> None:
    for record in history:
        used = tuple(share.rows for share in record.workers)
        if used != schedule.rows:
            raise WorkerError(
                f"epoch {record.epoch}: expected each worker to train on its rows "
                f"{schedule.rows}, got {used}"
            )
