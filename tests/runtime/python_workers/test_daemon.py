"""Tests for glasses_spark.runtime.python_workers.daemon, through the workers that a real Spark forks from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyspark
import pytest
from pyspark.sql import SparkSession

from glasses_spark.runtime.python_workers import daemon
from glasses_spark.runtime.python_workers.daemon import without_archives
from glasses_spark.runtime.python_workers.warm_up import warm_up
from glasses_spark.runtime.workers import worker_environment

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


def test_workers_import_little_and_look_for_garbage_in_nothing_that_is_there_to_stay(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Made here: a function of this module would have the worker import the module.
    def look(batches: Iterable[Any]) -> Iterator[Any]:
        import gc
        import sys

        import pyarrow as pa

        for _ in batches:
            pass
        modules = ["pandas", "pyspark.ml", "elephas", *wanted]
        yield pa.RecordBatch.from_pydict(
            {
                "frozen": [gc.get_freeze_count()],
                "enabled": [gc.isenabled()],
                "imported": [", ".join(name for name in modules if name in sys.modules)],
            }
        )

    wanted = sorted({*daemon.COMPUTING, *daemon.DECODING})
    schema = "frozen long, enabled boolean, imported string"
    # And for workers that have done nothing before, as above.
    with worker_environment(spark.sparkContext, threads=5):
        computing = spark.range(0, 1, 1, 1).mapInArrow(look, schema)
    monkeypatch.setitem(spark.sparkContext.environment, "A_TEST_OF", "imports")
    decoding = spark.range(0, 1, 1, 1).mapInArrow(look, schema)

    (computes,), (decodes,) = computing.collect(), decoding.collect()

    assert computes.enabled
    assert decodes.enabled
    assert computes.frozen > 300_000
    assert decodes.frozen > 20_000
    # Nothing that the work does without; Keras has pandas.
    assert set(computes.imported.split(", ")) == {"pandas", *daemon.COMPUTING}
    assert set(decodes.imported.split(", ")) == set(daemon.DECODING)


def test_workers_answer_at_once_over_connections_that_hold_nothing_back(
    spark: SparkSession,
) -> None:
    def options(batches: Iterable[Any]) -> Iterator[Any]:
        import os
        import socket

        import pyarrow as pa

        for _ in batches:
            pass
        found = []
        for name in os.listdir("/proc/self/fd"):
            try:
                with socket.socket(fileno=os.dup(int(name))) as connection:
                    for option in (socket.TCP_NODELAY, socket.TCP_QUICKACK):
                        found.append(connection.getsockopt(socket.IPPROTO_TCP, option))
            except OSError:  # no connection
                continue
        yield pa.RecordBatch.from_pydict({"found": [", ".join(map(str, found))]})

    rows = spark.range(1).mapInArrow(options, "found string").collect()

    assert {value for row in rows for value in row.found.split(", ")} == {"1"}


def archives_looked_into(batches: Iterable[Any]) -> Iterator[Any]:
    import sys
    import zipimport

    import pyarrow as pa

    for _ in batches:
        pass
    finders = sys.path_importer_cache.values()
    found = [one.archive for one in finders if isinstance(one, zipimport.zipimporter)]
    yield pa.RecordBatch.from_pydict({"found": [", ".join(found)]})


def test_workers_look_into_no_archive_at_the_start_of_each_task(spark: SparkSession) -> None:
    rows = spark.range(1).mapInArrow(archives_looked_into, "found string").collect()
    assert {row.found for row in rows} == {""}


def test_archives_stay_where_they_are_all_there_is(tmp_path: Path) -> None:
    package = Path(pyspark.__file__).parent
    archive = str(next((package / "python" / "lib").glob("pyspark.zip")))
    user_code = tmp_path / "user.zip"
    user_code.touch()
    site = str(package.parent)

    assert without_archives([archive, str(user_code), site]) == [str(user_code), site]
    # Another Spark's, and one without a package beside it.
    assert without_archives([str(user_code), archive]) == [str(user_code), archive]


def test_a_warm_up_ends_by_itself(spark: SparkSession) -> None:
    threads = warm_up(spark, num_workers=2)
    for thread in threads:
        thread.join(timeout=60)
        assert not thread.is_alive()
    assert len(threads) == 2
