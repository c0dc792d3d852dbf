"""Hosting: the Spark tasks that compute the workers of a fit, as many as there are slots for."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pyspark.sql import DataFrame

from glasses_spark.runtime.task_slots import registered_slots, task_slots
from glasses_spark.runtime.workers import worker_environment
from glasses_spark.training.partition import Partitioned
from glasses_spark.training.worker.assignment import Assignment
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
        frame = self._rows.by_task(tasks)
        with worker_environment(self._spark.sparkContext, threads=self._assignment.threads):
            return frame.mapInArrow(
                training_task(self._assignment),
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
