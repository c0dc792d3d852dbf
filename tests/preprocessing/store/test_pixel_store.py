"""Tests for glasses_spark.preprocessing.store.pixel_store, on real files and a real Spark."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

import pyarrow.dataset as ds
import pytest
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark.errors import DecodeError
from glasses_spark.loading import images as images_module
from glasses_spark.loading.dataset import Dataset, load_dataset
from glasses_spark.preprocessing.decoding.decode import decode
from glasses_spark.preprocessing.quarantine import count_images
from glasses_spark.preprocessing.split import split_column
from glasses_spark.preprocessing.store import changed_files as comparison_module
from glasses_spark.preprocessing.store import pixel_store as store_module
from glasses_spark.preprocessing.store.pixel_store import PixelStore, StoredPixels, resolve_root
from tests.faces import noise_png, write_faces, write_labels

pytestmark = pytest.mark.slow

SIZE = 8


class Place:
    """A folder of faces with their labels, and the store of their pixels."""

    def __init__(self, spark: SparkSession, folder: Path) -> None:
        self._spark = spark
        self.faces = folder / "faces [of 2020]"
        self.labels = folder / "labels.csv"
        self.root = folder / "pixel store"

    def write(self, files: dict[str, bytes], labels: dict[int, Any]) -> None:
        write_faces(self.faces, files)
        write_labels(self.labels, labels)

    def dataset(self, limit: int | None = None) -> Dataset:
        return load_dataset(self._spark, str(self.faces), str(self.labels), limit=limit)

    def store(self, size: int = SIZE) -> PixelStore:
        root = resolve_root(self._spark, str(self.root))
        assert root is not None
        return PixelStore(self._spark, root, location=str(self.faces), height=size, width=size)

    def update(self, limit: int | None = None) -> StoredPixels:
        return self.store().update(self.dataset(limit))

    def parts(self) -> list[str]:
        folder = Path(self.store().folder.removeprefix("file:"))
        return sorted(path.name.rsplit("-", 1)[0] for path in folder.iterdir())


@pytest.fixture
def place(spark: SparkSession, tmp_path: Path) -> Place:
    made = Place(spark, tmp_path)
    made.write(
        {f"face-{n}.png": noise_png(seed=n) for n in range(1, 6)} | {"face-6.png": b"no image"},
        {1: 1.0, 2: 0.0, 3: 1.0, 4: 0.0, 5: "nan", 6: 1.0},
    )
    return made


@pytest.fixture(params=["driver", "spark"])
def comparing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Have files and rows compared in the one place or the other."""
    if request.param == "spark":
        monkeypatch.setattr(comparison_module, "MOST_IN_DRIVER", 0)
    return str(request.param)


def rows(stored: StoredPixels) -> dict[int, Any]:
    return {row["id"]: row for row in stored.frame.collect()}


def test_a_store_is_filled_once_and_read_from_then_on(place: Place) -> None:
    first = place.update()
    assert (first.decoded, first.reused) == (5, 0)
    # Other bytes of the same length and time: whoever opened the files again would see them.
    for path in place.faces.iterdir():
        times = path.stat()
        path.write_bytes(b"x" * times.st_size)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    second = place.update()

    assert (second.decoded, second.reused) == (0, 5)
    found = rows(second)
    assert {number: row["label"] for number, row in found.items()} == {1: 1, 2: 0, 3: 1, 4: 0, 6: 1}
    for number in (1, 2, 3, 4):
        expected = decode(noise_png(seed=number), SIZE, SIZE).tobytes()
        assert bytes(found[number]["pixels"]) == expected
        assert found[number]["error"] is None
    with pytest.raises(DecodeError) as caught:
        decode(b"no image", SIZE, SIZE)
    assert (found[6]["pixels"], found[6]["error"]) == (None, str(caught.value))
    assert place.parts() == ["base-000001"]


def test_only_what_is_new_or_changed_is_decoded_and_what_is_gone_leaves(
    place: Place, comparing: str
) -> None:
    place.update()
    (place.faces / "face-7.png").write_bytes(noise_png(seed=7))
    write_labels(place.labels, {1: 1.0, 2: 0.0, 3: 1.0, 4: 0.0, 5: 1.0, 6: 1.0, 7: 0.0})

    added = place.update()  # face 5 has a label now

    assert (added.decoded, added.reused) == (2, 5)
    assert place.parts() == ["base-000001", "delta-000002"]

    (place.faces / "face-1.png").write_bytes(noise_png(24, 24, seed=70))
    (place.faces / "face-2.png").unlink()
    write_labels(place.labels, {1: 1.0, 3: 1.0, 4: 0.0, 5: 1.0, 6: 1.0, 7: 0.0})

    changed = place.update()

    assert (changed.decoded, changed.reused) == (1, 5)
    assert place.parts() == ["base-000003"]
    found = rows(changed)
    assert sorted(found) == [1, 3, 4, 5, 6, 7]
    assert bytes(found[1]["pixels"]) == decode(noise_png(24, 24, seed=70), SIZE, SIZE).tobytes()
    assert bytes(found[7]["pixels"]) == decode(noise_png(seed=7), SIZE, SIZE).tobytes()


def test_any_reader_of_parquet_reads_the_store(place: Place) -> None:
    place.update()
    table = ds.dataset(place.store().folder.removeprefix("file:")).to_table().to_pydict()
    assert list(table) == ["id", "path", "length", "modificationTime", "pixels", "error"]
    assert sorted(table["id"]) == [1, 2, 3, 4, 6]
    assert {len(pixels) for pixels in table["pixels"] if pixels} == {SIZE * SIZE}
    assert set(table["length"]) == {len(noise_png(seed=n)) for n in (1, 2, 3, 4)} | {8}
    times = {int(path.stat().st_mtime) for path in place.faces.iterdir()}
    assert {int(time.timestamp()) for time in table["modificationTime"]} <= times


def test_what_is_killed_half_way_leaves_the_store_as_it_was(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.update()
    (place.faces / "face-8.png").write_bytes(noise_png(seed=8))
    write_labels(place.labels, {1: 1.0, 3: 1.0, 4: 0.0, 6: 1.0, 8: 0.0})
    decode = PixelStore._decode

    def failing(self: PixelStore, files: DataFrame) -> DataFrame:
        in_vain = F.when(F.col("id") == 8, F.raise_error(F.lit("8 fails the job")).cast("string"))
        return decode(self, files).withColumn("error", in_vain)

    with monkeypatch.context() as patched:
        patched.setattr(PixelStore, "_decode", failing)
        with pytest.raises(PySparkException, match="8 fails the job"):
            place.update()
    (place.faces / "face-8.png").unlink()
    # And a process that did not even live to fail: files, but no mark of completeness.
    folder = Path(place.store().folder.removeprefix("file:"))
    complete = next(folder.glob("base-*"))
    half = folder / "base-000009-0123abcd"
    half.mkdir()
    for path in complete.glob("part-*"):
        (half / path.name).write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    after = place.update()

    assert (after.decoded, after.reused) == (0, 4)
    assert sorted(rows(after)) == [1, 3, 4, 6]


def test_rows_that_two_runs_wrote_at_once_count_once(place: Place, comparing: str) -> None:
    one, other = place.store(), place.store()
    listed = one._parts()
    for store in (one, other):
        store._write("delta", listed, store._decode(place.dataset().undecoded_files))
    assert place.parts() == ["delta-000001", "delta-000001"]

    again = place.update()

    assert (again.decoded, again.reused) == (0, 5)
    assert again.frame.count() == 5
    assert place.parts() == ["base-000002"]


@pytest.mark.parametrize("most", [50_000, 0])
def test_a_file_that_is_gone_when_it_is_to_be_opened_is_put_aside_and_tried_again(
    place: Place, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.update(limit=2)
    dataset, file = place.dataset(), place.faces / "face-6.png"
    file.rename(file.with_suffix(".away"))

    without = place.store().update(dataset)
    error = rows(without)[6]["error"]
    # A row that has neither a length nor a time is as stale as others are.
    file.with_suffix(".away").rename(file)
    file.write_bytes(noise_png(seed=6))
    monkeypatch.setattr(comparison_module, "MOST_IN_DRIVER", most)
    after = place.update()

    assert error == "cannot be read: No such file or directory"
    assert (without.decoded, after.decoded, after.reused) == (3, 1, 4)
    assert sorted(row["id"] for row in after.frame.collect()) == [1, 2, 3, 4, 6]
    assert rows(after)[6]["pixels"] is not None


def test_a_store_that_is_filled_has_its_images_counted_on_the_way(place: Place) -> None:
    part = split_column(test=0.4, validation=0.2, seed=1)

    filled = PixelStore.update(place.store(), place.dataset(), part)
    again = PixelStore.update(place.store(), place.dataset(), part)

    assert filled.counts is not None
    counted = count_images(filled.frame, part)
    assert (filled.counts.images, filled.counts.bad) == (counted.images, counted.bad) == (5, 1)
    # Where nothing is, a query has no row.
    assert {name: n for name, n in filled.counts.parts.items() if n} == counted.parts
    assert again.counts == counted


def test_sizes_have_stores_of_their_own_and_a_limit_reads_a_part(place: Place) -> None:
    place.update()
    small = PixelStore.update(place.store(size=4), place.dataset())
    assert small.decoded == 5
    assert {len(row["pixels"]) for row in rows(small).values() if row["pixels"]} == {16}
    limited = place.update(limit=2)
    assert (limited.decoded, limited.reused) == (0, 2)
    assert limited.frame.count() == 2


@pytest.mark.parametrize("on_disk", [True, False])
def test_many_files_are_decoded_without_naming_them(
    place: Place, comparing: str, on_disk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.update(limit=2)
    monkeypatch.setattr(images_module, "MAX_NAMED_FILES", 1)

    rest = place.store().update(dataclasses.replace(place.dataset(), on_disk=on_disk))

    assert (rest.decoded, rest.reused) == (3, 2)
    assert sorted(rows(rest)) == [1, 2, 3, 4, 6]


def test_many_deltas_become_one_base(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_DELTAS", 1)
    place.update(limit=2)
    place.update(limit=4)
    assert place.parts() == ["base-000001", "delta-000002"]
    everything = place.update()
    assert place.parts() == ["base-000003"]
    assert sorted(rows(everything)) == [1, 2, 3, 4, 6]


def test_an_empty_file_is_remembered_as_one(place: Place, comparing: str) -> None:
    (place.faces / "face-1.png").write_bytes(b"")
    assert place.update().decoded == 5
    again = place.update()
    assert again.decoded == 0
    assert rows(again)[1]["error"] == "empty file"


def test_what_could_not_be_read_is_tried_again_and_what_is_no_image_is_not(
    place: Place, comparing: str
) -> None:
    (place.faces / "face-2.png").unlink()
    os.mkfifo(place.faces / "face-2.png")  # whoever opens it waits for ever

    first = place.update()

    assert first.decoded == 5
    assert rows(first)[2]["error"] == "cannot be read: not a regular file"
    again = place.update()
    assert (again.decoded, again.reused) == (1, 4)
    assert sorted(rows(again)) == [1, 2, 3, 4, 6]


def test_files_that_only_spark_can_open_give_the_same_pixels(place: Place) -> None:
    opened = rows(place.update())
    read = dataclasses.replace(place.dataset(), on_disk=False)
    place.root = place.root.with_name("another store")
    filled, again = (place.store().update(read) for _ in range(2))
    assert rows(filled) == rows(again) == opened
    assert (filled.decoded, again.decoded) == (5, 0)


def test_a_file_beyond_what_spark_can_read_is_not_read_at_all(place: Place) -> None:
    with (place.faces / "face-2.png").open("wb") as file:
        file.truncate(2**31)  # takes no space

    error = rows(place.update())[2]["error"]

    assert error == f"a file of {2**31} bytes, more than {2**31 - 1}"
