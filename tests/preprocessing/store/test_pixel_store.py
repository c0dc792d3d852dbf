"""Tests for glasses_spark.preprocessing.store.pixel_store."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Sequence

import pyarrow.dataset as ds
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark.loading.dataset import Dataset
from glasses_spark.preprocessing.decoding.decode import decode
from glasses_spark.preprocessing.quarantine import Counts, count_images
from glasses_spark.preprocessing.store import pixel_store as store_module
from glasses_spark.preprocessing.store.pixel_store import resolve_root
from tests.faces import noise_png, write_labels
from tests.preprocessing.store.images_on_disk import SIZE, ImagesOnDisk, rows_by_id

pytestmark = pytest.mark.slow

NOT_PNG = "not a PNG file (starts with b'no image')"


class FailingDataset(Dataset):
    """A dataset of which the file with the id 8 fails the Spark job that decodes it."""

    def files(self, names: Sequence[str] | None, *, count: int) -> DataFrame:
        fail = F.raise_error(F.lit("8 fails the job")).cast("string")
        path = F.when(F.col("id") == 8, fail).otherwise(F.col("path"))
        return super().files(names, count=count).withColumn("path", path)


def test_a_store_is_filled_once_and_then_reused(images: ImagesOnDisk) -> None:
    first = images.update()
    assert (first.decoded, first.reused) == (5, 0)
    # Other bytes with the same length and time: a second decoding would notice them.
    for path in images.faces.iterdir():
        status = path.stat()
        path.write_bytes(b"x" * status.st_size)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    second = images.update()

    assert (second.decoded, second.reused) == (0, 5)
    rows = rows_by_id(second)
    assert {number: row["label"] for number, row in rows.items()} == {1: 1, 2: 0, 3: 1, 4: 0, 6: 1}
    for number in (1, 2, 3, 4):
        expected = decode(noise_png(seed=number), SIZE, SIZE).tobytes()
        assert bytes(rows[number]["pixels"]) == expected
        assert rows[number]["error"] is None
    assert (rows[6]["pixels"], rows[6]["error"]) == (None, NOT_PNG)
    assert images.segments() == ["base-000001"]


def test_new_and_changed_files_are_decoded_and_deleted_ones_removed(images: ImagesOnDisk) -> None:
    images.update()
    (images.faces / "face-7.png").write_bytes(noise_png(seed=7))
    write_labels(images.labels, {1: 1.0, 2: 0.0, 3: 1.0, 4: 0.0, 5: 1.0, 6: 1.0, 7: 0.0})

    added = images.update()  # face 5 has a label now

    assert (added.decoded, added.reused) == (2, 5)
    assert images.segments() == ["base-000001", "delta-000002"]

    (images.faces / "face-1.png").write_bytes(noise_png(24, 24, seed=70))
    (images.faces / "face-2.png").unlink()
    write_labels(images.labels, {1: 1.0, 3: 1.0, 4: 0.0, 5: 1.0, 6: 1.0, 7: 0.0})

    changed = images.update()

    assert (changed.decoded, changed.reused) == (1, 5)
    assert images.segments() == ["base-000003"]
    rows = rows_by_id(changed)
    assert sorted(rows) == [1, 3, 4, 5, 6, 7]
    assert bytes(rows[1]["pixels"]) == decode(noise_png(24, 24, seed=70), SIZE, SIZE).tobytes()
    assert bytes(rows[7]["pixels"]) == decode(noise_png(seed=7), SIZE, SIZE).tobytes()


def test_the_store_is_readable_as_plain_parquet(images: ImagesOnDisk) -> None:
    images.update()

    table = ds.dataset(images.folder).to_table().to_pydict()

    assert list(table) == ["id", "path", "length", "modificationTime", "pixels", "error"]
    assert sorted(table["id"]) == [1, 2, 3, 4, 6]
    assert {len(pixels) for pixels in table["pixels"] if pixels} == {SIZE * SIZE}
    assert set(table["length"]) == {len(noise_png(seed=n)) for n in (1, 2, 3, 4)} | {8}
    times = {int(path.stat().st_mtime) for path in images.faces.iterdir()}
    assert {int(time.timestamp()) for time in table["modificationTime"]} <= times


def test_a_failed_update_leaves_the_store_as_it_was(images: ImagesOnDisk) -> None:
    images.update()
    (images.faces / "face-8.png").write_bytes(noise_png(seed=8))
    write_labels(images.labels, {1: 1.0, 3: 1.0, 4: 0.0, 6: 1.0, 8: 0.0})
    failing = FailingDataset(**vars(images.dataset()))

    with pytest.raises(PySparkException, match="8 fails the job"):
        images.store().update(failing)

    (images.faces / "face-8.png").unlink()
    after = images.update()
    assert (after.decoded, after.reused) == (0, 4)
    assert sorted(rows_by_id(after)) == [1, 3, 4, 6]


def test_a_segment_without_completion_marker_is_ignored(images: ImagesOnDisk) -> None:
    images.update()
    # As after a process that was killed: truncated files, no marker.
    complete = next(images.folder.glob("base-*"))
    incomplete = images.folder / "base-000009-0123abcd"
    incomplete.mkdir()
    for path in complete.glob("part-*"):
        (incomplete / path.name).write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    after = images.update()

    assert (after.decoded, after.reused) == (0, 5)
    assert sorted(rows_by_id(after)) == [1, 2, 3, 4, 6]


def test_rows_that_two_runs_wrote_count_once(images: ImagesOnDisk) -> None:
    images.update()
    # As if a second run had decoded the same files at the same time.
    base = next(images.folder.glob("base-*"))
    shutil.copytree(base, images.folder / "delta-000002-0123abcd")

    again = images.update()

    assert (again.decoded, again.reused) == (0, 5)
    assert again.frame.count() == 5
    assert images.segments() == ["base-000003"]


def test_filling_a_store_counts_its_images(images: ImagesOnDisk) -> None:
    part = F.when(F.col("id") <= 2, "test").otherwise("train")

    filled = images.store().update(images.dataset(), part)
    updated = images.store().update(images.dataset(), part)

    # Of 1, 2, 3, 4 and 6 the last is not a PNG file.
    assert filled.counts == Counts(5, 1, {"train": 2, "validation": 0, "test": 2})
    assert updated.counts is None
    assert count_images(updated.frame, part) == Counts(5, 1, {"train": 2, "test": 2})


def test_each_size_has_its_own_store(images: ImagesOnDisk) -> None:
    images.update()

    small = images.store(size=4).update(images.dataset())

    assert small.decoded == 5
    assert {len(row["pixels"]) for row in rows_by_id(small).values() if row["pixels"]} == {16}


def test_a_limit_reads_some_rows_of_the_store(images: ImagesOnDisk) -> None:
    images.update()

    limited = images.update(limit=2)

    assert (limited.decoded, limited.reused) == (0, 2)
    assert limited.frame.count() == 2


def test_many_deltas_are_merged_into_one_base(
    images: ImagesOnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "MAX_DELTAS", 1)
    images.update(limit=2)
    images.update(limit=4)
    assert images.segments() == ["base-000001", "delta-000002"]

    merged = images.update()

    assert images.segments() == ["base-000003"]
    assert sorted(rows_by_id(merged)) == [1, 2, 3, 4, 6]


def test_files_that_only_spark_can_open_give_the_same_pixels(images: ImagesOnDisk) -> None:
    opened = rows_by_id(images.update())
    read_by_spark = dataclasses.replace(images.dataset(), on_disk=False)
    images.root = images.root.with_name("another store")

    filled, again = (images.store().update(read_by_spark) for _ in range(2))

    assert rows_by_id(filled) == rows_by_id(again) == opened
    assert (filled.decoded, again.decoded) == (5, 0)


def test_a_file_larger_than_spark_can_read_is_not_read(images: ImagesOnDisk) -> None:
    with (images.faces / "face-2.png").open("wb") as file:
        file.truncate(2**31)  # sparse: uses no disk space

    error = rows_by_id(images.update())[2]["error"]

    assert error == "a file of 2147483648 bytes, more than 603979776"


def test_the_root_of_stores_is_a_uri(spark: SparkSession) -> None:
    assert resolve_root(spark, "/data/my pixels") == "file:/data/my pixels"
    assert resolve_root(spark, "hdfs://host/pixels/") == "hdfs://host/pixels"
