"""Tests for glasses_spark.runtime.python_workers.daemon, in the workers of a real Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from pyspark.sql import SparkSession

from glasses_spark.runtime.python_workers.daemon import COMPUTING, DECODING
from glasses_spark.runtime.workers import worker_environment

pytestmark = pytest.mark.slow

SCHEMA = "enabled boolean, imported string"


def report_imports() -> Callable[[Iterable[Any]], Iterator[Any]]:
    """Return a function that reports what its worker has imported, and its collector."""

    # Within a function, so that the worker does not import this module.
    def report(batches: Iterable[Any]) -> Iterator[Any]:
        import gc
        import sys

        import pyarrow as pa

        for _ in batches:
            pass
        names = ",".join(sys.modules)
        yield pa.RecordBatch.from_pydict({"enabled": [gc.isenabled()], "imported": [names]})

    return report


def test_workers_that_compute_have_tensorflow_imported(spark: SparkSession) -> None:
    # A number of threads that no other test uses: these workers have done nothing before.
    with worker_environment(spark.sparkContext, threads=5):
        frame = spark.range(0, 1, 1, 1).mapInArrow(report_imports(), SCHEMA)

    (row,) = frame.collect()

    assert row.enabled
    assert {"tensorflow", *COMPUTING} <= set(row.imported.split(","))


def test_other_workers_have_the_decoder_imported_and_not_tensorflow(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A variable that no other test uses: these workers have done nothing before.
    monkeypatch.setitem(spark.sparkContext.environment, "A_TEST_OF", "imports")

    (row,) = spark.range(0, 1, 1, 1).mapInArrow(report_imports(), SCHEMA).collect()

    assert row.enabled
    imported = set(row.imported.split(","))
    assert set(DECODING) <= imported
    assert not {"tensorflow", "keras", "elephas", "pyspark.ml"} & imported


def test_the_objects_of_the_imports_are_excluded_from_garbage_collection(
    spark: SparkSession,
) -> None:
    def report(batches: Iterable[Any]) -> Iterator[Any]:
        import gc

        import pyarrow as pa

        for _ in batches:
            pass
        yield pa.RecordBatch.from_pydict({"frozen": [gc.get_freeze_count() > 0]})

    (row,) = spark.range(0, 1, 1, 1).mapInArrow(report, "frozen boolean").collect()

    assert row.frozen
