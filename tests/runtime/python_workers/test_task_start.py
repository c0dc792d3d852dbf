"""Tests for glasses_spark.runtime.python_workers.task_start, in workers of a real Spark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pyspark
from pyspark.sql import SparkSession

from glasses_spark.runtime.python_workers.task_start import without_archives


def socket_options(batches: Iterable[Any]) -> Iterator[Any]:
    import os
    import socket

    import pyarrow as pa

    for _ in batches:
        pass
    values = []
    for name in os.listdir("/proc/self/fd"):
        try:
            with socket.socket(fileno=os.dup(int(name))) as connection:
                for option in (socket.TCP_NODELAY, socket.TCP_QUICKACK):
                    values.append(connection.getsockopt(socket.IPPROTO_TCP, option))
        except OSError:  # no connection
            continue
    yield pa.RecordBatch.from_pydict({"values": [", ".join(map(str, values))]})


def imported_archives(batches: Iterable[Any]) -> Iterator[Any]:
    import sys
    import zipimport

    import pyarrow as pa

    for _ in batches:
        pass
    finders = sys.path_importer_cache.values()
    archives = [finder.archive for finder in finders if isinstance(finder, zipimport.zipimporter)]
    yield pa.RecordBatch.from_pydict({"archives": [", ".join(archives)]})


def test_workers_acknowledge_at_once_and_hold_no_write_back(spark: SparkSession) -> None:
    rows = spark.range(1).mapInArrow(socket_options, "values string").collect()

    assert {value for row in rows for value in row["values"].split(", ")} == {"1"}


def test_workers_read_no_archive_at_the_start_of_a_task(spark: SparkSession) -> None:
    rows = spark.range(1).mapInArrow(imported_archives, "archives string").collect()

    assert {row["archives"] for row in rows} == {""}


def test_archives_are_kept_if_they_hold_the_only_pyspark(tmp_path: Path) -> None:
    package = Path(pyspark.__file__).parent
    archive = str(package / "python" / "lib" / "pyspark.zip")
    user_code = tmp_path / "user.zip"
    user_code.touch()
    site_packages = str(package.parent)

    assert without_archives([archive, str(user_code), site_packages]) == [
        str(user_code),
        site_packages,
    ]
    assert without_archives([archive, str(user_code)]) == [archive, str(user_code)]
