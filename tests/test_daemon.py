"""Tests for glasses_spark.daemon, through the workers that a real Spark forks from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from pyspark.sql import SparkSession

from glasses_spark.executors import worker_environment
from glasses_spark.training.warm_up import warm_up

pytestmark = pytest.mark.slow


def has_tensorflow(batches: Iterable[Any]) -> Iterator[Any]:
    import sys

    import pyarrow as pa

    for _ in batches:
        pass
    yield pa.RecordBatch.from_pydict({"imported": ["tensorflow" in sys.modules]})


def test_workers_that_compute_find_tensorflow_imported_and_others_do_not(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Threads and a variable that no other test asks for: these workers have done nothing before.
    with worker_environment(spark.sparkContext, threads=3):
        computing = spark.range(1).mapInArrow(has_tensorflow, "imported boolean")
    monkeypatch.setitem(spark.sparkContext.environment, "A_TEST_OF", "the daemon")
    decoding = spark.range(1).mapInArrow(has_tensorflow, "imported boolean")
    assert all(row.imported for row in computing.collect())
    assert not any(row.imported for row in decoding.collect())


def test_a_warm_up_ends_by_itself(spark: SparkSession) -> None:
    threads = warm_up(spark, num_workers=2)
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert len(threads) == 2
