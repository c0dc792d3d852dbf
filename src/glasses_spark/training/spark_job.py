"""Spark job of a fit: runs in its own thread, while the driver serves the workers."""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Sequence
from typing import Final, Protocol, Self

from pyspark import InheritableThread
from pyspark.sql import DataFrame

from glasses_spark.errors import GlassesSparkError, SetupError, WorkerError
from glasses_spark.runtime.spark_errors import translated
from glasses_spark.training.callbacks import CallbackRunner
from glasses_spark.training.checkpoint.checkpointer import Checkpointer
from glasses_spark.training.fit_progress import FitProgress
from glasses_spark.training.history import EpochRecord, EpochTotals
from glasses_spark.training.metric_states import MetricStates
from glasses_spark.training.schedule import Schedule
from glasses_spark.training.server.coordinator import Coordinator
from glasses_spark.training.server.state import FitEndedError

logger = logging.getLogger(__name__)

_ADVICE: Final = "Check the steps that make the rows, and the code of model, loss and metrics"

# Restarts of a lost job without any push in between: a job that fails more often will fail again.
RESTARTS: Final = 3


class TrainingJob:
    """Context that runs the tasks; at its end the job has ended.

    Args:
        frame: DataFrame whose partitions are the tasks.
        coordinator: Coordinator of the fit. It is notified when the job ends, and
            releases waiting workers when the block ends with an error.
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
            # Release the waiting workers; Spark cancels those that compute.
            self._coordinator.fail(FitEndedError("the fit has ended"))
            self._context.cancelJobGroup(self._group)
        self._thread.join()

    def cancel(self) -> None:
        """End the job; the workers can be started again."""
        self._context.cancelJobGroup(self._group)
        self._thread.join()

    def running(self) -> bool:
        """Return whether the job is still running."""
        return not self._ended.is_set()

    @property
    def error(self) -> GlassesSparkError | None:
        """The error that ended the job, in one line, with Spark's error as its cause."""
        return None if self._error is None else job_error(self._error)

    def _collect(self) -> None:
        try:
            self._context.setJobGroup(self._group, "train", interruptOnCancel=True)
            self._frame.collect()
        except Exception as error:
            self._error = error
        finally:
            self._ended.set()
            self._coordinator.wake()


def job_error(error: Exception) -> GlassesSparkError:
    """Return the error of a fit for an error of its Spark job, with that as its cause."""
    found = translated(error, WorkerError, "the training", _ADVICE)
    if not isinstance(found, SetupError):
        found = WorkerError(f"the training job failed: {found}")
    found.__cause__ = error
    return found


class RunningTasks(Protocol):
    """The tasks of a fit while they run, as a context manager; at its end they have ended."""

    def __enter__(self) -> Self:
        """Start the tasks."""

    def __exit__(self, *_: object) -> None:
        """End the tasks."""

    def cancel(self) -> None:
        """End the tasks; the workers can be started again."""

    def running(self) -> bool:
        """Return whether the tasks are still running."""

    @property
    def error(self) -> GlassesSparkError | None:
        """The error that ended the tasks."""


class TrainingTasks(Protocol):
    """The tasks that host the workers of a fit.

    Attributes:
        can_restart: Whether tasks that were lost can be started again.
    """

    can_restart: bool

    def job(self, coordinator: Coordinator) -> RunningTasks:
        """Return tasks to start, for the task slots there are now."""

    def count_slots(self) -> None:
        """Count the task slots, now and then."""

    def have_slots(self) -> bool:
        """Return whether the tasks can run."""

    def close(self) -> None:
        """Remove what the tasks shared, after they have ended."""


def follow_job(
    coordinator: Coordinator,
    runner: CallbackRunner,
    states: MetricStates,
    hosting: TrainingTasks,
    progress: FitProgress,
    checkpointer: Checkpointer,
) -> list[EpochRecord]:
    """Run the workers until the last epoch, and return the history.

    A job that fails because a task was lost, or whose tasks no longer have a slot each, is
    started again. The coordinator has applied every push that it received, and the workers
    continue from there.

    Args:
        coordinator: Coordinator of the fit.
        runner: Runs the callbacks after each epoch.
        states: Computes the metrics of an epoch.
        hosting: The tasks that host the workers.
        progress: Shows how far the fit has come.
        checkpointer: Writes checkpoints, and resumes the fit from the last one.

    Raises:
        WorkerError: The job failed, and starting it again does not help.
    """
    history = checkpointer.resume()
    restarts_left = RESTARTS

    def look() -> None:
        hosting.count_slots()
        progress.show(coordinator.status())
        checkpointer.poll(history)

    while True:
        before = coordinator.progress()
        tasks = hosting.job(coordinator)
        coordinator.reset_heartbeats()
        with tasks as job:

            def running(job: RunningTasks = job) -> bool:
                return job.running() and hosting.have_slots()

            while True:
                try:
                    totals = coordinator.next_epoch(running=running, on_poll=look)
                except (KeyboardInterrupt, SystemExit):
                    # Not while callbacks end an epoch, of which the history has no record yet.
                    checkpointer.interrupt(history)
                    raise
                if totals is None:
                    break
                record = epoch_record(totals, states, coordinator.schedule)
                logger.debug("epoch %d: %s", record.epoch, record.metrics)
                history.append(runner.end_epoch(record))
                progress.end_epoch(history[-1], coordinator.status())
                checkpointer.end_epoch(history)
            if job.running():
                logger.warning("an executor was lost, and no other has taken its place")
                job.cancel()
        if job.error is None:
            break
        restarts_left = RESTARTS if coordinator.progress() > before else restarts_left - 1
        # If no worker has joined, because it cannot reach the driver or import its modules,
        # a restart does not help: Spark has retried the tasks several times.
        can_restart = hosting.can_restart and coordinator.has_been_joined()
        if restarts_left < 0 or not can_restart:
            raise job.error
        logger.warning("%s. Restarting the workers at epoch %d", job.error, len(history) + 1)
    if len(history) < coordinator.schedule.epochs and not runner.stopped:
        raise WorkerError(
            f"expected {coordinator.schedule.epochs} epochs of all workers, got {len(history)}"
        )
    return history


def epoch_record(totals: EpochTotals, states: MetricStates, schedule: Schedule) -> EpochRecord:
    """Return the record of an epoch, with its metrics in the order of Keras' history."""
    metrics = states.results(totals.metric_state)
    if sum(schedule.validation_rows):
        validation = states.results(totals.validation_state)
        metrics |= {f"val_{name}": value for name, value in validation.items()}
    return EpochRecord(totals.epoch + 1, dict(sorted(metrics.items())), totals.rows, totals.workers)


def require_all_rows(history: Sequence[EpochRecord], schedule: Schedule) -> None:
    """Raise a WorkerError if a worker did not train on all its rows in each epoch."""
    for record in history:
        used = tuple(share.rows for share in record.workers)
        if used != schedule.rows:
            raise WorkerError(
                f"epoch {record.epoch}: expected each worker to train on its rows "
                f"{schedule.rows}, got {used}"
            )
