"""Tests for glasses_spark.preprocessing.pixels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from glasses_spark.errors import ConfigError
from glasses_spark.loading.images import list_images
from glasses_spark.preprocessing.decoding.decode import decode
from glasses_spark.preprocessing.pixels import decode_contents, to_pixels
from tests.faces import GREY_ALPHA, PALETTE, any_png, noise_png, write_faces
from tests.preprocessing.frames import load_images


@contextmanager
def setting(spark: SparkSession, key: str, value: str) -> Iterator[None]:
    before = str(spark.conf.get(key))
    spark.conf.set(key, value)
    try:
        yield
    finally:
        spark.conf.set(key, before)


@pytest.mark.parametrize("content", [True, False])
def test_pixels_are_those_of_the_decoder(
    spark: SparkSession, tmp_path: Path, content: bool
) -> None:
    files = {
        "face-1.png": noise_png(40, 30),
        "face-2.png": any_png(9, 11, colour=PALETTE, depth=4),
        "odd name 100%20 [x] ü-3.png": any_png(64, 64, colour=GREY_ALPHA, depth=16),
        "sub 7/face-004.png": any_png(33, 65, interlaced=True),
    }

    pixels = to_pixels(load_images(spark, tmp_path, files, content=content), height=20, width=50)

    assert pixels.dtypes == [
        ("path", "string"),
        ("id", "int"),
        ("label", "double"),
        ("pixels", "binary"),
        ("error", "string"),
    ]
    rows = {row["id"]: row for row in pixels.collect()}
    assert sorted(rows) == [1, 2, 3, 4]
    for number, (name, file) in enumerate(files.items(), start=1):
        row = rows[number]
        assert row["path"] == f"file:{tmp_path}/faces/{name}"
        assert row["label"] == number % 2
        assert bytes(row["pixels"]) == decode(file, 20, 50).tobytes()
        assert row["error"] is None


@pytest.mark.parametrize("content", [True, False])
def test_bad_files_have_a_reason_and_the_others_pixels(
    spark: SparkSession, tmp_path: Path, content: bool
) -> None:
    files = {
        "face-1.png": noise_png(),
        "face-2.png": noise_png()[:-30],
        "face-3.png": b"",
        "face-4.png": noise_png(seed=4),
        "face-7.png": b"This is no image.",
    }

    rows = to_pixels(load_images(spark, tmp_path, files, content=content)).orderBy("id").collect()

    assert [(row["id"], row["pixels"] is None, row["error"]) for row in rows] == [
        (1, False, None),
        (2, True, "truncated PNG file"),
        (3, True, "empty file"),
        (4, False, None),
        (7, True, "not a PNG file (starts with b'This is ')"),
    ]


def test_each_row_gets_its_own_pixels_if_a_partition_has_several_batches(
    spark: SparkSession, tmp_path: Path
) -> None:
    files = {f"{number}.png": noise_png(seed=number) for number in range(10)}
    frame = load_images(spark, tmp_path, files).coalesce(1)

    with setting(spark, "spark.sql.execution.arrow.maxRecordsPerBatch", "3"):
        rows = to_pixels(frame, height=8, width=8).collect()

    assert {row["id"]: bytes(row["pixels"]) for row in rows} == {
        number: decode(noise_png(seed=number), 8, 8).tobytes() for number in range(10)
    }


@pytest.mark.slow
def test_empty_partitions_and_frames_have_no_rows(spark: SparkSession, tmp_path: Path) -> None:
    frame = load_images(spark, tmp_path, {"1.png": noise_png(), "2.png": noise_png()})

    assert to_pixels(frame.repartition(5)).count() == 2
    assert to_pixels(frame.where("id > 5")).count() == 0


@pytest.mark.parametrize(("height", "width", "key"), [(0, 8, "height"), (8, -1, "width")])
def test_a_size_below_one_is_an_error(
    spark: SparkSession, height: int, width: int, key: str
) -> None:
    with pytest.raises(ConfigError, match=rf"image\.{key} is"):
        to_pixels(spark.range(0), height=height, width=width)


def test_batches_of_many_files_log_a_warning(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frame = load_images(spark, tmp_path, {"1.png": noise_png()})
    caplog.clear()

    to_pixels(frame)
    assert not caplog.records
    with setting(spark, "spark.sql.execution.arrow.maxRecordsPerBatch", "10000"):
        to_pixels(frame)

    assert "maxRecordsPerBatch is 10000" in caplog.text


def test_length_and_time_of_opened_files_are_those_of_the_listing(
    spark: SparkSession, tmp_path: Path
) -> None:
    files = {"1.png": noise_png(40, 30), "2.png": b"", "sub/3 ü.png": b"no image"}
    write_faces(tmp_path, files)
    os.utime(tmp_path / "1.png", ns=(0, 1_234_567_890_987_654_321))
    listing = list_images(spark, str(tmp_path))
    columns = ["id", "modificationTime", "path", "length"]

    pixels = decode_contents(listing.select("path", "id"), columns, height=8, width=8)

    assert pixels.columns == [*columns, "pixels", "error"]
    assert sorted(pixels.select(*columns).collect()) == sorted(listing.select(*columns).collect())


def test_a_missing_file_has_no_length_and_no_time(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame([(f"file:{tmp_path}/1.png", 1)], "path string, id int")

    pixels = decode_contents(
        frame, ["id", "length", "modificationTime"], height=8, width=8
    ).collect()

    assert pixels == [
        (1, None, None, None, "cannot be read: No such file or directory"),
    ]
