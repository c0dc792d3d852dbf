"""Tests for glasses_spark.preprocessing.store.changed_files, mostly through the store."""

from __future__ import annotations

import dataclasses
import os

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from glasses_spark.loading import images as images_module
from glasses_spark.preprocessing.store.changed_files import drop_stale, find_changes
from glasses_spark.preprocessing.store.pixel_store import SCHEMA
from tests.faces import noise_png
from tests.preprocessing.store.images_on_disk import ImagesOnDisk, rows_by_id

pytestmark = pytest.mark.slow


def test_missing_stale_and_duplicate_rows_are_found(
    spark: SparkSession, images: ImagesOnDisk
) -> None:
    rows = images.dataset().listing.withColumns({"pixels": F.lit(None), "error": F.lit("bad")})
    stored = (
        rows.where("id <> 1")  # missing
        .withColumn("length", F.when(F.col("id") == 2, 7).otherwise(F.col("length")))  # stale
        .unionByName(rows.where("id = 3"))  # duplicate
        .select("id", "path", "length", "modificationTime", "pixels", "error")
    )

    with find_changes(images.dataset(), stored) as changes:
        assert (changes.missing, changes.duplicates) == (2, 1)
        assert changes.files is not None
        assert sorted(row["id"] for row in changes.files.collect()) == [1, 2]
        assert changes.stale is not None
        assert [row["length"] for row in changes.stale.collect()] == [7]
        valid = drop_stale(stored, changes.stale)
        assert sorted(row["id"] for row in valid.collect()) == [3, 3, 4, 5, 6]


def test_no_stored_rows_mean_that_all_labelled_files_are_missing(
    spark: SparkSession, images: ImagesOnDisk
) -> None:
    stored = spark.createDataFrame([], SCHEMA)

    with find_changes(images.dataset(), stored) as changes:
        assert (changes.missing, changes.duplicates, changes.stale) == (5, 0, None)


def test_the_listing_is_persisted_only_in_the_block(
    spark: SparkSession, images: ImagesOnDisk
) -> None:
    def persisted() -> set[int]:
        return set(spark.sparkContext._jsc.getPersistentRDDs())

    before = persisted()

    with find_changes(images.dataset(), spark.createDataFrame([], SCHEMA)):
        pass

    assert persisted() <= before


@pytest.mark.parametrize("on_disk", [True, False])
def test_many_files_are_decoded_without_naming_them(
    images: ImagesOnDisk, on_disk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    images.update(limit=2)
    monkeypatch.setattr(images_module, "MAX_NAMED_FILES", 1)

    rest = images.store().update(dataclasses.replace(images.dataset(), on_disk=on_disk))

    assert (rest.decoded, rest.reused) == (3, 2)
    assert sorted(rows_by_id(rest)) == [1, 2, 3, 4, 6]


def test_an_empty_file_is_decoded_only_once(images: ImagesOnDisk) -> None:
    (images.faces / "face-1.png").write_bytes(b"")
    assert images.update().decoded == 5

    again = images.update()

    assert again.decoded == 0
    assert rows_by_id(again)[1]["error"] == "empty file"


def test_an_unreadable_file_is_tried_again_and_an_invalid_one_is_not(images: ImagesOnDisk) -> None:
    (images.faces / "face-2.png").unlink()
    os.mkfifo(images.faces / "face-2.png")  # opening it would block

    first = images.update()

    assert first.decoded == 5
    assert rows_by_id(first)[2]["error"] == "cannot be read: not a regular file"
    again = images.update()
    assert (again.decoded, again.reused) == (1, 4)
    assert sorted(rows_by_id(again)) == [1, 2, 3, 4, 6]


def test_a_file_that_was_missing_while_decoding_is_tried_again(images: ImagesOnDisk) -> None:
    dataset, file = images.dataset(), images.faces / "face-6.png"
    file.rename(file.with_suffix(".away"))

    first = images.store().update(dataset)
    # Read before the file returns. The row has neither length nor time.
    error = rows_by_id(first)[6]["error"]
    file.with_suffix(".away").rename(file)
    file.write_bytes(noise_png(seed=6))
    second = images.update()

    assert error == "cannot be read: No such file or directory"
    assert (first.decoded, second.decoded, second.reused) == (5, 1, 4)
    rows = rows_by_id(second)
    assert sorted(rows) == [1, 2, 3, 4, 6]
    assert rows[6]["pixels"] is not None


def test_a_file_that_is_deleted_after_the_listing_does_not_end_an_update(
    images: ImagesOnDisk,
) -> None:
    images.update()
    dataset = images.dataset()
    (images.faces / "face-6.png").unlink()

    updated = images.store().update(dataset)

    assert rows_by_id(updated)[6]["error"] == "cannot be read: No such file or directory"
    assert (updated.decoded, updated.reused) == (1, 4)
