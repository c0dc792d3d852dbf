"""Tests for glasses_spark.pipeline.watch.arrivals."""

from __future__ import annotations

import os
from pathlib import Path

from pyspark.sql import SparkSession

from glasses_spark.pipeline.watch.arrivals import Arrival, Arrivals

LONG = 3600.0


def arrivals(
    spark: SparkSession, folder: Path, *, settle: float, known: set[tuple[str, bool]] | None = None
) -> Arrivals:
    return Arrivals(spark, str(folder), glob="*.png", settle=settle, known=known or set())


def names(found: list[Arrival]) -> list[str]:
    return [Path(arrival.path).name for arrival in found]


def test_a_file_is_found_once(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"a")
    (tmp_path / "b.txt").write_bytes(b"b")
    folder = arrivals(spark, tmp_path, settle=0)
    assert folder.find() == [Arrival(f"file:{tmp_path}/a.png")]
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "c.png").write_bytes(b"c")
    assert names(folder.find()) == ["c.png"]
    assert folder.find() == []
    again = arrivals(spark, tmp_path, settle=0, known={(f"file:{tmp_path}/a.png", True)})
    assert names(again.find()) == ["c.png"]


def test_a_file_that_was_just_changed_has_to_wait(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    folder = arrivals(spark, tmp_path, settle=LONG)
    assert folder.find() == []
    assert folder.waiting == 1
    # Copying programs set the time of modification.
    os.utime(tmp_path / "a.png", (0, 0))
    assert folder.find() == []
    (tmp_path / "a.png").unlink()
    assert folder.find() == []
    assert folder.waiting == 0


def test_a_name_that_spark_cannot_open_has_a_reason(spark: SparkSession, tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")).write_bytes(b"a")
    folder = arrivals(spark, tmp_path, settle=0)
    (found,) = folder.find()
    assert found.path == rf"file:{tmp_path}/caf\xe9.png"
    assert "not valid UTF-8" in str(found.error)
    assert folder.find() == []


def test_a_name_is_not_taken_for_another_that_is_shown_as_it(
    spark: SparkSession, tmp_path: Path
) -> None:
    (tmp_path / r"caf\xe9.png").write_bytes(b"a")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.png")).write_bytes(b"a")
    folder = arrivals(spark, tmp_path, settle=0)
    bad, good = folder.find()
    assert bad.path == good.path
    assert (bad.error is None, good.error) == (False, None)
    assert folder.find() == []
    again = arrivals(spark, tmp_path, settle=0, known={bad.key})
    assert again.find() == [good]


def test_files_that_spark_lists_are_found_as_well(
    spark: SparkSession, tmp_path: Path, monkeypatch: object
) -> None:
    (tmp_path / "full one.png").write_bytes(b"a")
    (tmp_path / "empty.png").write_bytes(b"")
    folder = arrivals(spark, tmp_path, settle=0)
    through_spark = {arrival.path: state for arrival, state in folder._through_spark()}
    assert through_spark[f"file:{tmp_path}/full one.png"][0] == 1
    assert through_spark[f"file:{tmp_path}/empty.png"] == (0, None)
