"""Hosting: the Spark tasks that compute the workers of a fit, as many as there are slots for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pyspark.sql import DataFrame

from glasses_spark.runtime.driver_address import driver_addresses
from glasses_spark.runtime.task_slots import registered_slots, task_slots
from glasses_spark.runtime.workers import worker_environment, worker_threads
from glasses_spark.training.checkpoint.folder import CheckpointFolder
from glasses_spark.training.partition import Partitioned
from glasses_spark.training.precision import resolve_precision
from glasses_spark.training.server.certificates import Credentials, make_credentials
from glasses_spark.training.server.coordinator import Coordinator
from glasses_spark.training.settings import FitSettings
from glasses_spark.training.spark_job import TrainingJob
from glasses_spark.training.worker.assignment import Assignment
from glasses_spark.training.worker.shared_spec import SharedSpec
from glasses_spark.training.worker.task import REPORT_SCHEMA, training_task

logger = logging.getLogger(__name__)

# A cluster replaces a lost executor within seconds. After this time without a slot for each task
# the workers go to fewer tasks.
PATIENCE_S: Final = 20.0

# Seconds between two counts of the slots.
COUNT_INTERVAL_S: Final = 1.0


class Hosting:
    """The tasks of one fit.

    Args:
        rows: The rows of the workers.
        assignment: Settings of the fit. Its ``tasks`` are the tasks of the first start.
        patience: Seconds without a slot for each task after which `have_slots` says so.
        clock: Returns seconds that never decrease.
    """

    can_restart = True

    def __init__(
        self,
        rows: Partitioned,
        assignment: Assignment,
        *,
        patience: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rows = rows
        self._assignment = assignment
        self._spark = rows.frame.sparkSession
        self._patience = patience
        self._clock = clock
        self._counted_at = self._had_slots_at = clock()
        self._shared_spec: SharedSpec | None = None

    def job(self, coordinator: Coordinator) -> TrainingJob:
        """Return the Spark job of a new start."""
        # A new DataFrame each time: Spark reuses the result of the last one.
        return TrainingJob(self.start(), coordinator)

    def start(self) -> DataFrame:
        """Return a new DataFrame whose partitions are the tasks, for the slots there are now."""
        tasks = min(self._assignment.schedule.workers, task_slots(self._spark))
        if tasks != self._assignment.tasks:
            logger.warning(
                "task slots: found %d, had %d. The %d workers go on in as many tasks",
                tasks,
                self._assignment.tasks,
                self._assignment.schedule.workers,
            )
            self._assignment = replace(self._assignment, tasks=tasks)
        self._counted_at = self._had_slots_at = self._clock()
        frame, context = self._rows.by_task(tasks), self._spark.sparkContext
        if self._shared_spec is None:
            self._shared_spec = SharedSpec.of(context, self._assignment.spec)
        with worker_environment(context, threads=self._assignment.threads):
            return frame.mapInArrow(
                training_task(self._assignment, self._shared_spec),
                REPORT_SCHEMA,
                barrier=self._assignment.schedule.synchronous,
            )

    def count_slots(self) -> None:
        """Count the task slots, at most once a second."""
        now = self._clock()
        if now - self._counted_at >= COUNT_INTERVAL_S:
            self._counted_at = now
            if registered_slots(self._spark) >= self._assignment.tasks:
                self._had_slots_at = now

    def have_slots(self) -> bool:
        """Return whether the tasks can run; False if some had no slot for a while."""
        return self._clock() - self._had_slots_at < self._patience

    def close(self) -> None:
        """Remove what the tasks shared; they have ended."""
        if self._shared_spec is not None:
            self._shared_spec.close()
            self._shared_spec = None


class DriverHost:
    """The driver, in which the coordinator of a fit lives in a classic session.

    Args:
        rows: The rows of the workers.
        settings: Settings of the fit.
    """

    def __init__(self, rows: Partitioned, settings: FitSettings) -> None:
        self._rows = rows
        self._settings = settings
        self._spark = rows.frame.sparkSession

    def addresses(self) -> tuple[str, str]:
        """Return the host at which tasks reach the server, and the address it binds."""
        return driver_addresses(self._spark.sparkContext.getConf().get)

    def credentials(self) -> tuple[Credentials, Credentials]:
        """Return the credentials of the server and of its workers."""
        return make_credentials()

    def checkpoints(self) -> CheckpointFolder | None:
        """Return the folder of the checkpoints; None if there is none."""
        location = self._settings.checkpoint_dir
        return CheckpointFolder(self._spark, location) if location else None

    def count_tasks(self, workers: int) -> int:
        """Return the number of tasks for some workers."""
        return min(workers, task_slots(self._spark))

    def precision(self) -> str:
        """Return the number format in which all workers compute."""
        return resolve_precision(self._spark, self._settings.precision)

    def threads(self, at_once: int) -> int:
        """Return the number of threads of a task, if so many run at the same time."""
        return worker_threads(self._spark.sparkContext, at_once=at_once)

    def tasks(self, assignment: Assignment) -> Hosting:
        """Return the tasks of the fit."""
        return Hosting(self._rows, assignment)
