"""Tests for glasses_spark.training.hosting, on a Spark with two task slots."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from glasses_spark.training.hosting import Hosting
from glasses_spark.training.partition import Partitioned
from glasses_spark.training.schedule import Schedule
from glasses_spark.training.worker.assignment import Assignment
from tests.training.clock import Clock

pytestmark = pytest.mark.slow


@pytest.fixture
def clock() -> Clock:
    return Clock()


def hosting(spark: SparkSession, clock: Clock, *, workers: int, tasks: int) -> Hosting:
    """Return the hosting of workers with one row each. Its tasks are not run."""
    unused: Any = None
    assignment = Assignment(
        spec=unused,
        layout=unused,
        schedule=Schedule("asynchronous", "batch", 1, 4, (1,) * workers, (0,) * workers),
        row_format=unused,
        label_codes=unused,
        address=unused,
        seed=0,
        tasks=tasks,
        threads=1,
    )
    rows = spark.range(workers).select(F.col("id").cast("int").alias("worker"))
    partitioned = Partitioned(rows, (1,) * workers, (0,) * workers)
    return Hosting(partitioned, assignment, patience=20, clock=clock)


@pytest.mark.parametrize(("workers", "tasks"), [(1, 1), (2, 2), (5, 2)])
def test_there_are_as_many_tasks_as_slots_and_workers_allow(
    spark: SparkSession, clock: Clock, workers: int, tasks: int
) -> None:
    frame = hosting(spark, clock, workers=workers, tasks=tasks).start()
    assert frame.rdd.getNumPartitions() == tasks


def test_tasks_whose_slots_are_lost_for_good_are_replaced_by_fewer(
    spark: SparkSession, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    lost = hosting(spark, clock, workers=6, tasks=3)
    clock.now = 19.0
    lost.count_slots()
    assert lost.have_slots()
    clock.now = 21.0
    lost.count_slots()
    assert not lost.have_slots()

    with caplog.at_level(logging.WARNING):
        frame = lost.start()

    assert frame.rdd.getNumPartitions() == 2
    assert "task slots: found 2, had 3. The 6 workers go on in as many tasks" in caplog.text
    clock.now = 100.0
    lost.count_slots()
    assert lost.have_slots()
