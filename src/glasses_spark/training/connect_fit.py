"""Fit under Spark Connect: the client starts the tasks, one of which coordinates them."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from glasses_spark.errors import ConfigError
from glasses_spark.runtime.connect import runs_locally
from glasses_spark.runtime.connect_worker import ProcessSettings
from glasses_spark.runtime.task_slots import task_slots
from glasses_spark.training.coordination import FitPlan
from glasses_spark.training.fit_progress import SILENT, FitProgress
from glasses_spark.training.fit_result import SCHEMA, FitResult
from glasses_spark.training.history import EpochRecord
from glasses_spark.training.metric_states import MetricRules
from glasses_spark.training.partition import Partitioned
from glasses_spark.training.precision import resolve_precision
from glasses_spark.training.server.certificates import make_credentials
from glasses_spark.training.server.state import FitStatus
from glasses_spark.training.settings import FitSettings
from glasses_spark.training.spark_job import job_error
from glasses_spark.training.task_host import TaskPlan, hosted_fit

# A message of Spark Connect, and so the plan of a fit, has at most 128 MiB.
LARGEST_MODEL: Final = 100 * 2**20


def require_connect_settings(settings: FitSettings, callbacks: Sequence[Any]) -> None:
    """Refuse what a fit under Spark Connect cannot do.

    Args:
        settings: Settings of the fit.
        callbacks: Keras callbacks of the user.

    Raises:
        ConfigError: A setting needs the driver in the user's process.
    """
    for name, value, advice in (
        (
            "callbacks",
            len(callbacks),
            "Use early_stopping or reduce_learning_rate instead",
        ),
        ("checkpoint_dir", settings.checkpoint_dir, "Leave it empty"),
    ):
        if value:
            raise ConfigError(
                f"{name} needs the driver in this process, found a session of Spark Connect, whose "
                f"fit runs in the tasks alone. {advice}, or fit in a classic session"
            )


class ConnectFit:
    """One fit under Spark Connect.

    Args:
        rows: The rows of the workers.
        plan: The fit.
        metric_rules: Which rows have weights, for the metrics of an epoch.
    """

    def __init__(self, rows: Partitioned, plan: FitPlan, metric_rules: MetricRules) -> None:
        self._rows = rows
        self._plan = plan
        self._metric_rules = metric_rules

    def run(self, model: Any) -> list[EpochRecord]:
        """Train a model.

        Args:
            model: The fit starts from its weights and replaces them by the trained ones.

        Returns:
            One record for each epoch.

        Raises:
            WorkerError: A worker failed or was lost.
        """
        spark = self._rows.frame.sparkSession
        plan = self._task_plan(spark, model)
        frame = self._rows.by_task(plan.tasks).mapInArrow(hosted_fit(plan), SCHEMA, barrier=True)
        tag = f"glasses-spark-fit-{uuid.uuid4()}"
        spark.addTag(tag)
        try:
            rows = frame.toLocalIterator()
            result = FitResult.of_rows(rows)
            result.require_complete()
            deque(rows, maxlen=0)  # until the last task has ended
        except PySparkException as error:
            raise job_error(error) from error
        finally:
            # A task that is lost, or whose fit has failed, must not go on.
            spark.interruptTag(tag)
            spark.removeTag(tag)
        result.write_to(model)
        self._show(result.history)
        return list(result.history)

    def _task_plan(self, spark: SparkSession, model: Any) -> TaskPlan:
        settings, weights = self._plan.settings, model.get_weights()
        size = sum(array.nbytes for array in weights) + len(self._plan.spec.archive or b"")
        if size > LARGEST_MODEL:
            raise ConfigError(
                f"fit: expected a model of at most {LARGEST_MODEL >> 20} MiB under Spark Connect, "
                f"whose messages have a limit, got {size >> 20} MiB. Fit in a classic session"
            )
        slots = task_slots(spark)
        tasks = min(self._plan.schedule.workers, slots)
        at_once = self._plan.threads_at_once(tasks) if runs_locally(spark) else None
        server, worker = make_credentials()
        return TaskPlan(
            # What a task prints nobody sees.
            fit=replace(self._plan, settings=replace(settings, verbose=SILENT)),
            weights=weights,
            metric_rules=self._metric_rules,
            tasks=tasks,
            precision=resolve_precision(spark, settings.precision),
            process=ProcessSettings.of(spark, at_once=at_once),
            server=server,
            worker=worker,
        )

    def _show(self, history: Sequence[EpochRecord]) -> None:
        """Show the epochs, which come back with the weights, at the end of the fit."""
        seconds = 0.0
        schedule = self._plan.schedule
        progress = FitProgress(schedule, self._plan.settings.verbose, clock=lambda: seconds)
        for record in history:
            seconds += max((share.seconds for share in record.workers), default=0.0)
            workers = len(record.workers)
            progress.end_epoch(record, FitStatus(record.epoch, record.rows, workers, workers))
        progress.close()
