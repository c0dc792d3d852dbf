"""Tests for glasses_spark.preflight.doctor.survey."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from glasses_spark.loading.images import list_images
from glasses_spark.loading.listing import number_in
from glasses_spark.preflight.doctor.survey import ImageFile, list_files, survey
from tests.faces import write_faces

NAMES = [
    "1.png",
    "face-2.png",
    "face 3 (copy).png",
    "4.PNG",
    "five.png",
    "sub/6.png",
    "sub/label=7/7.png",
    ".hidden/8.png",
    "_hidden/9.png",
    "_with=10/10.png",
    "_11.png",
    "99999999999.png",
    "12.jp2",
    "[13].png",
    "brown {14}.png",
]


@pytest.mark.parametrize("glob", ["*.png", "*.{png,PNG,jp2}", "[^f]*.png", "face*"])
def test_files_and_ids_are_those_that_spark_lists(
    spark: SparkSession, tmp_path: Path, glob: str
) -> None:
    folder = write_faces(tmp_path / "faces [of] mine", NAMES)

    ours = {(file.path, file.id, file.size) for file in list_files(str(folder), glob)}

    rows = list_images(spark, str(folder), glob=glob).collect()
    theirs = {
        ("/" + row.path.removeprefix("file:").lstrip("/"), row.id, row.length) for row in rows
    }
    assert ours == theirs
    assert ours


def test_a_glob_of_folders_lists_the_files_in_them(spark: SparkSession, tmp_path: Path) -> None:
    write_faces(tmp_path, ["a/1.png", "b/2.png", "c/3.png"])
    location = str(tmp_path / "{a,b}")

    ours = {file.id for file in list_files(location, "*.png")}

    assert ours == {row.id for row in list_images(spark, location).collect()} == {1, 2}


def test_a_missing_folder_has_no_files(tmp_path: Path) -> None:
    assert list(list_files(str(tmp_path / "none"), "*.png")) == []


@pytest.mark.parametrize(
    ("name", "number"), [("face-7.png", 7), ("2147483648.png", None), ("1.2.jp2", 2), ("a", None)]
)
def test_the_id_is_the_last_number_if_it_fits_an_int(name: str, number: int | None) -> None:
    assert number_in(name) == number


def test_every_file_and_every_label_is_counted() -> None:
    files = [ImageFile(f"/faces/{name}", 10, number_in(name)) for name in ("1.png", "2.png", "x")]
    labels = {1: 1.0, 2: None, 3: 0.0}

    result = survey(files, labels)

    assert (result.images, result.size, result.labels) == (3, 30, 3)
    assert (result.with_glasses, result.without_glasses, result.labelled) == (1, 0, 1)
    assert (str(result.undefined), str(result.unlabelled)) == ("1: 2.png", "1: x")
    assert (str(result.without_image), str(result.unnumbered)) == ("1: 3", "1: x")


def test_the_sample_of_many_files_is_small_and_even() -> None:
    def files() -> Iterator[ImageFile]:
        for number in range(10_000):
            yield ImageFile(f"/{number}.png", 1, number)

    sample = [int(Path(path).stem) for path in survey(files(), None).sample]

    assert 128 <= len(sample) <= 256
    assert len({after - before for before, after in pairwise(sample)}) == 1
    assert sample[-1] > 9_900
