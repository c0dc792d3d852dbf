"""Tests for glasses_spark.runtime.workers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from pyspark.sql import SparkSession

from glasses_spark.runtime.gpu import NO_DEVICE, VISIBLE
from glasses_spark.runtime.workers import (
    THREADS_VARIABLE,
    threads_of_this_process,
    worker_environment,
    worker_threads,
)


def test_local_workers_share_the_cores_of_this_process(spark: SparkSession) -> None:
    cores = len(os.sched_getaffinity(0))

    assert worker_threads(spark.sparkContext, at_once=1) == cores
    assert worker_threads(spark.sparkContext, at_once=2 * cores) == 1


def test_the_variables_of_the_context_are_restored_after_the_block(spark: SparkSession) -> None:
    before = dict(spark.sparkContext.environment)

    with worker_environment(spark.sparkContext, threads=3):
        assert spark.sparkContext.environment[THREADS_VARIABLE] == "3"
        assert spark.sparkContext.environment[VISIBLE] == NO_DEVICE

    assert spark.sparkContext.environment == before


@pytest.mark.slow
def test_a_function_created_in_the_block_runs_with_its_threads(spark: SparkSession) -> None:
    def report(batches: Iterable[Any]) -> Iterator[Any]:
        import pyarrow as pa

        from glasses_spark.runtime.workers import threads_of_this_process

        for _ in batches:
            pass
        yield pa.RecordBatch.from_pydict({"threads": [threads_of_this_process()]})

    with worker_environment(spark.sparkContext, threads=2):
        frame = spark.range(0, 1, 1, 1).mapInArrow(report, "threads long")

    assert [row.threads for row in frame.collect()] == [2]


def test_outside_a_worker_no_number_of_threads_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(THREADS_VARIABLE, raising=False)
    assert threads_of_this_process() is None
