"""Tests for glasses_spark.preprocessing.pixels."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from pyspark.ml.linalg import DenseVector
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark.errors import ConfigError, ImagesError
from glasses_spark.loading.dataset import load_dataset
from glasses_spark.loading.images import list_images
from glasses_spark.preprocessing.decoding.decode import decode
from glasses_spark.preprocessing.features import pixels_to_features, to_features
from glasses_spark.preprocessing.pixels import decode_contents, to_pixels
from glasses_spark.preprocessing.quarantine import (
    Counts,
    QuarantinedImage,
    count_images,
    observe_counts,
    quarantine_images,
)
from tests.faces import GREY_ALPHA, PALETTE, any_png, noise_png, write_faces, write_labels

PIXELS_SCHEMA = "path string, id int, label double, pixels binary, error string"


def loaded(
    spark: SparkSession, folder: Path, files: Mapping[str, bytes], *, content: bool = True
) -> DataFrame:
    """Write ``files`` and load them; a file's label is 1 where its number is odd."""
    write_faces(folder / "faces", files)
    labels = write_labels(folder / "labels.csv", {number: number % 2 for number in range(100)})
    dataset = load_dataset(spark, str(folder / "faces"), str(labels))
    return dataset.frame if content else dataset.undecoded


def decoded(spark: SparkSession, bad: int, good: int) -> DataFrame:
    """Make what ``to_pixels`` returns for so many bad and good images."""
    rows: list[tuple[object, ...]] = [
        *((f"bad-{n}", n, 0.0, None, "empty file") for n in range(bad)),
        *((f"good-{n}", bad + n, 1.0, b"\x01", None) for n in range(good)),
    ]
    return spark.createDataFrame(rows, PIXELS_SCHEMA).cache()


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

    pixels = to_pixels(loaded(spark, tmp_path, files, content=content), height=20, width=50)

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
def test_bad_files_keep_a_reason_and_the_others_their_pixels(
    spark: SparkSession, tmp_path: Path, content: bool
) -> None:
    files = {
        "face-1.png": noise_png(),
        "face-2.png": noise_png()[:-30],
        "face-3.png": b"",
        "face-4.png": noise_png(seed=4),
        "face-7.png": b"This is no face.",
    }

    rows = to_pixels(loaded(spark, tmp_path, files, content=content)).orderBy("id").collect()

    assert [(row["id"], row["pixels"] is None, row["error"]) for row in rows] == [
        (1, False, None),
        (2, True, "truncated PNG file"),
        (3, True, "empty file"),
        (4, False, None),
        (7, True, "not a PNG file (starts with b'This is ')"),
    ]


def test_batches_smaller_than_a_partition_pair_each_row_with_its_pixels(
    spark: SparkSession, tmp_path: Path
) -> None:
    files = {f"{number}.png": noise_png(seed=number) for number in range(10)}
    frame = loaded(spark, tmp_path, files).coalesce(1)

    with setting(spark, "spark.sql.execution.arrow.maxRecordsPerBatch", "3"):
        rows = to_pixels(frame, height=8, width=8).collect()

    assert {row["id"]: bytes(row["pixels"]) for row in rows} == {
        number: decode(noise_png(seed=number), 8, 8).tobytes() for number in range(10)
    }


@pytest.mark.slow
def test_empty_partitions_and_frames_give_no_rows(spark: SparkSession, tmp_path: Path) -> None:
    frame = loaded(spark, tmp_path, {"1.png": noise_png(), "2.png": noise_png()})

    assert to_pixels(frame.repartition(5)).count() == 2
    assert to_pixels(frame.where("id > 5")).count() == 0
    assert to_features(frame.repartition(5)).where("features IS NOT NULL").count() == 2


@pytest.mark.slow
def test_features_are_pixels_over_255_beside_the_columns_of_the_files(
    spark: SparkSession, tmp_path: Path
) -> None:
    files = {"1.png": noise_png(seed=1), "2.png": b"text", "3.png": noise_png(seed=3)}

    features = to_features(loaded(spark, tmp_path, files), height=6, width=9)

    assert [f"{name} {kind}" for name, kind in features.dtypes] == [
        "path string",
        "modificationTime timestamp",
        "length bigint",
        "content binary",
        "id int",
        "label double",
        "features vector",
    ]
    rows = {row["id"]: row for row in features.collect()}
    assert rows[2]["features"] is None
    for number in (1, 3):
        content = files[f"{number}.png"]
        assert bytes(rows[number]["content"]) == content
        assert isinstance(rows[number]["features"], DenseVector)
        np.testing.assert_array_equal(
            rows[number]["features"].toArray(), decode(content, 6, 9).ravel() / 255.0
        )


def test_features_decode_each_image_once(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = loaded(spark, tmp_path, {"1.png": noise_png()})

    to_features(frame).explain()

    plan = capsys.readouterr().out
    assert plan.count("ArrowEvalPython [scaled(") == 1
    assert plan.count("scaled(") == 1


def test_features_can_be_made_of_pixels(spark: SparkSession) -> None:
    rows = [("a", 1, 0.0, bytes([0, 51, 255]), None), ("b", 2, 0.0, None, "empty file")]
    frame = spark.createDataFrame(rows, PIXELS_SCHEMA)

    features = pixels_to_features(frame)

    assert features.columns == [*frame.columns, "features"]
    assert [row["features"] for row in features.orderBy("id").collect()] == [
        DenseVector([0.0, 0.2, 1.0]),
        None,
    ]


@pytest.mark.parametrize(("height", "width", "key"), [(0, 8, "height"), (8, -1, "width")])
def test_a_size_below_one_is_refused(
    spark: SparkSession, height: int, width: int, key: str
) -> None:
    frame = spark.range(0)
    for step in (to_pixels, to_features):
        with pytest.raises(ConfigError, match=f"image.{key} is"):
            step(frame, height=height, width=width)


def test_batches_of_gigabytes_are_warned_of(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    frame = loaded(spark, tmp_path, {"1.png": noise_png()})
    caplog.clear()

    to_pixels(frame)
    assert not caplog.records
    with setting(spark, "spark.sql.execution.arrow.maxRecordsPerBatch", "10000"):
        to_pixels(frame)

    assert "maxRecordsPerBatch is 10000" in caplog.text


def test_bad_images_are_put_aside_with_their_reasons(
    spark: SparkSession, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        result = quarantine_images(decoded(spark, 2, 98), max_bad_fraction=0.02)

    assert result.good.columns == ["path", "id", "label", "pixels"]
    assert result.good.count() == 98
    assert result.good.where("pixels IS NULL").count() == 0
    assert result.quarantine == [
        QuarantinedImage("bad-0", 0, "empty file"),
        QuarantinedImage("bad-1", 1, "empty file"),
    ]
    assert "2 of 100 images put aside: bad-0 (empty file); bad-1 (empty file)" in caplog.text


def test_images_are_counted_by_part_in_a_query_of_their_own_or_on_the_way(
    spark: SparkSession, tmp_path: Path
) -> None:
    frame = decoded(spark, 1, 6)
    part = F.when(F.col("id") % 2 == 0, "even").otherwise("odd")
    on_the_way, read = observe_counts(frame, part, ("even", "odd", "none"))

    on_the_way.write.parquet(str(tmp_path / "written"))

    # The bad one has the number 0.
    assert count_images(frame, part) == Counts(7, 1, {"even": 3, "odd": 3})
    assert read() == Counts(7, 1, {"even": 3, "odd": 3, "none": 0})
    assert count_images(frame) == Counts(7, 1)


def test_nothing_is_put_aside_where_all_is_good(
    spark: SparkSession, caplog: pytest.LogCaptureFixture
) -> None:
    result = quarantine_images(decoded(spark, 0, 3), max_bad_fraction=0.0)

    assert (result.good.count(), result.quarantine, caplog.text) == (3, [], "")


def test_more_bad_images_than_allowed_are_refused_with_the_numbers(spark: SparkSession) -> None:
    with pytest.raises(ImagesError) as refusal:
        quarantine_images(decoded(spark, 5, 95), max_bad_fraction=0.04)

    assert str(refusal.value) == (
        "5 of 100 images cannot be decoded, more than data.max_bad_fraction = 0.04 allows: "
        "bad-0 (empty file); bad-1 (empty file); bad-2 (empty file) and more. Replace or remove "
        "these files, or raise data.max_bad_fraction"
    )


@pytest.mark.parametrize("bad", [0, 3])
def test_nothing_left_is_refused_whatever_is_allowed(spark: SparkSession, bad: int) -> None:
    message = "none of the 3 images can be decoded" if bad else "there are no images"
    with pytest.raises(ImagesError, match=message):
        quarantine_images(decoded(spark, bad, 0), max_bad_fraction=1.0)


@pytest.mark.parametrize("fraction", [-0.01, 1.01, float("nan")])
def test_a_fraction_out_of_range_is_refused(spark: SparkSession, fraction: float) -> None:
    with pytest.raises(ConfigError, match=r"data\.max_bad_fraction is"):
        quarantine_images(decoded(spark, 0, 1), max_bad_fraction=fraction)


def test_opened_files_are_told_as_the_listing_tells_them(
    spark: SparkSession, tmp_path: Path
) -> None:
    files = {"1.png": noise_png(40, 30), "2.png": b"", "sub/3 ü.png": b"no picture"}
    write_faces(tmp_path, files)
    os.utime(tmp_path / "1.png", ns=(0, 1_234_567_890_987_654_321))
    listing = list_images(spark, str(tmp_path))
    kept = ["id", "modificationTime", "path", "length"]

    decoded = decode_contents(listing.select("path", "id"), kept, height=8, width=8)

    assert decoded.columns == [*kept, "pixels", "error"]
    assert sorted(decoded.select(*kept).collect()) == sorted(listing.select(*kept).collect())


def test_of_a_file_that_is_gone_nothing_is_told(spark: SparkSession, tmp_path: Path) -> None:
    frame = spark.createDataFrame([(f"file:{tmp_path}/1.png", 1)], "path string, id int")

    decoded = decode_contents(
        frame, ["id", "length", "modificationTime"], height=8, width=8
    ).collect()

    assert decoded == [
        (1, None, None, None, "cannot be read: No such file or directory"),
    ]
