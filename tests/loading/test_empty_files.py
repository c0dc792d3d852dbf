"""Tests for glasses_spark.loading.empty_files."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from glasses_spark.errors import ImagesError
from glasses_spark.loading import empty_files
from glasses_spark.loading.dataset import load_dataset
from glasses_spark.loading.empty_files import find_empty_files
from glasses_spark.loading.images import list_images, open_images, scan
from glasses_spark.loading.listing import Listing
from tests.faces import noise_png, write_faces, write_labels


def test_empty_files_with_unusual_names_are_found(spark: SparkSession, tmp_path: Path) -> None:
    names = ["face-2.png", "a+b ü 100%20 [x]/it's ?*#-3.png"]
    write_faces(tmp_path, {"face-1.png": noise_png(), **dict.fromkeys(names, b""), "x.txt": b""})
    images = open_images(spark, str(tmp_path))

    rows = find_empty_files(scan(images), Listing(images)).collect()

    assert {row["path"] for row in rows} == {f"file:{tmp_path}/{name}" for name in names}


def test_too_many_empty_files_are_rejected(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(empty_files, "MAX_EMPTY_FILES", 3)
    write_faces(tmp_path, {f"face-{number}.png": b"" for number in range(4)})
    images = open_images(spark, str(tmp_path))

    with pytest.raises(
        ImagesError, match=r"4 image files are empty, at most 3 are accepted: .*face-0\.png"
    ):
        find_empty_files(scan(images), Listing(images))


@pytest.mark.slow
def test_empty_files_are_listed_and_loaded_like_others(spark: SparkSession, tmp_path: Path) -> None:
    folder = write_faces(
        tmp_path / "faces", {"face-1.png": noise_png(), "face-2.png": b"", "face-3.png": b""}
    )
    labels = write_labels(tmp_path / "labels.csv", {1: 1, 2: 0, 4: 1})

    listing = list_images(spark, str(folder)).orderBy("id").collect()
    dataset = load_dataset(spark, str(folder), str(labels))

    lengths = [(row["id"], row["length"]) for row in listing]
    assert lengths == [(1, len(noise_png())), (2, 0), (3, 0)]
    rows = dataset.frame.orderBy("id").collect()
    assert [(row["id"], row["label"], bytes(row["content"])) for row in rows] == [
        (1, 1.0, noise_png()),
        (2, 0.0, b""),
    ]
    assert dataset.account.unlabelled_names == ("face-3.png",)
