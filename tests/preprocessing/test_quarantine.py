"""Tests for glasses_spark.preprocessing.quarantine."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark.errors import ConfigError, ImagesError
from glasses_spark.preprocessing.quarantine import (
    Counts,
    QuarantinedImage,
    count_images,
    observe_counts,
    quarantine_images,
)
from glasses_spark.reasons import Reason
from tests.preprocessing.frames import PIXELS_SCHEMA


def make_decoded(spark: SparkSession, bad: int, good: int) -> DataFrame:
    """Return a frame as from ``to_pixels`` with these numbers of bad and good images."""
    rows: list[tuple[object, ...]] = [
        *((f"bad-{n}", n, 0.0, None, "empty file") for n in range(bad)),
        *((f"good-{n}", bad + n, 1.0, b"\x01", None) for n in range(good)),
    ]
    return spark.createDataFrame(rows, PIXELS_SCHEMA).cache()


def test_bad_images_are_quarantined_with_their_reasons(
    spark: SparkSession, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        result = quarantine_images(make_decoded(spark, 2, 98), max_bad_fraction=0.02)

    assert result.good.columns == ["path", "id", "label", "pixels"]
    assert result.good.count() == 98
    assert result.good.where("pixels IS NULL").count() == 0
    assert result.quarantine == [
        QuarantinedImage("bad-0", 0, Reason.EMPTY, "empty file"),
        QuarantinedImage("bad-1", 1, Reason.EMPTY, "empty file"),
    ]
    assert "2 of 100 images quarantined: bad-0 (empty file); bad-1 (empty file)" in caplog.text


@pytest.mark.slow
def test_images_are_counted_by_part_in_a_query_or_while_the_frame_is_used(
    spark: SparkSession, tmp_path: Path
) -> None:
    frame = make_decoded(spark, 1, 6)
    part = F.when(F.col("id") % 2 == 0, "even").otherwise("odd")
    observed, read_counts = observe_counts(frame, part, ("even", "odd", "none"))

    observed.write.parquet(str(tmp_path / "written"))

    # The bad image has the id 0.
    assert count_images(frame, part) == Counts(7, 1, {"even": 3, "odd": 3})
    assert read_counts() == Counts(7, 1, {"even": 3, "odd": 3, "none": 0})
    assert count_images(frame) == Counts(7, 1)


def test_the_quarantine_is_empty_if_all_images_are_good(
    spark: SparkSession, caplog: pytest.LogCaptureFixture
) -> None:
    result = quarantine_images(make_decoded(spark, 0, 3), max_bad_fraction=0.0)

    assert (result.good.count(), result.quarantine, caplog.text) == (3, [], "")


def test_more_bad_images_than_allowed_are_an_error_with_the_numbers(spark: SparkSession) -> None:
    with pytest.raises(ImagesError) as error:
        quarantine_images(make_decoded(spark, 5, 95), max_bad_fraction=0.04)

    assert str(error.value) == (
        "5 of 100 images cannot be decoded, more than data.max_bad_fraction=0.04 allows: "
        "bad-0 (empty file); bad-1 (empty file); bad-2 (empty file) and more. Replace or remove "
        "these files, or raise data.max_bad_fraction"
    )


@pytest.mark.parametrize("bad", [0, 3])
def test_no_good_image_is_an_error_with_any_allowed_fraction(spark: SparkSession, bad: int) -> None:
    message = "none of the 3 images can be decoded" if bad else "found no images"
    with pytest.raises(ImagesError, match=message):
        quarantine_images(make_decoded(spark, bad, 0), max_bad_fraction=1.0)


@pytest.mark.parametrize("fraction", [-0.01, 1.01, float("nan")])
def test_a_fraction_out_of_range_is_an_error(spark: SparkSession, fraction: float) -> None:
    with pytest.raises(ConfigError, match=r"data\.max_bad_fraction: expected"):
        quarantine_images(make_decoded(spark, 0, 1), max_bad_fraction=fraction)
