"""Tests for glasses_spark.training.spark_job; test_failure.py has those with lost workers."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import pytest
from pyspark.sql import SparkSession

from glasses_spark.errors import WorkerError
from glasses_spark.training.history import EpochRecord, WorkerShare
from glasses_spark.training.schedule import Schedule
from glasses_spark.training.spark_job import TrainingJob, require_all_rows

SCHEDULE = Schedule("synchronous", "batch", 1, 4, (5, 4), (0, 0))


class Coordinator:
    """What a job needs of a coordinator."""

    def __init__(self) -> None:
        self.woken = threading.Event()
        self.failure: Exception | None = None

    def wake(self) -> None:
        self.woken.set()

    def fail(self, error: Exception) -> None:
        self.failure = error


def failing(batches: Iterable[Any]) -> Iterable[Any]:
    raise ValueError("no such thing")


@pytest.mark.slow  # Spark starts each task again.
def test_the_error_of_a_job_is_one_line_with_that_of_spark_as_its_cause(
    spark: SparkSession,
) -> None:
    coordinator: Any = Coordinator()
    frame = spark.range(2).mapInArrow(failing, "id bigint")

    with TrainingJob(frame, coordinator) as job:
        assert coordinator.woken.wait(60)
        assert not job.running()

    assert job.error is not None
    assert str(job.error).startswith("the training job failed: ")
    assert "ValueError: no such thing" in str(job.error)
    assert "\n" not in str(job.error)
    assert job.error.__cause__ is not None


def test_a_job_that_succeeds_has_no_error(spark: SparkSession) -> None:
    coordinator: Any = Coordinator()
    with TrainingJob(spark.range(2), coordinator) as job:
        assert coordinator.woken.wait(60)
        assert not job.running()
    assert job.error is None
    assert coordinator.failure is None


def test_a_worker_with_other_rows_than_its_own_is_an_error() -> None:
    def history(rows: int) -> list[EpochRecord]:
        workers = (WorkerShare(0, 5, 1, 0, 0), WorkerShare(1, rows, 1, 0, 0))
        return [EpochRecord(1, {}, 5 + rows, workers)]

    require_all_rows(history(4), SCHEDULE)
    with pytest.raises(WorkerError, match=r"epoch 1: .* rows \(5, 4\), got \(5, 3\)"):
        require_all_rows(history(3), SCHEDULE)
