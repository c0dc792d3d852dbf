"""Tests for glasses_spark.loading.unlisted and disk_files."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from glasses_spark.errors import ImagesError
from glasses_spark.loading.connect_listing import list_files
from glasses_spark.loading.dataset import load_dataset
from glasses_spark.loading.disk_files import disk_name, is_utf8, list_disk
from glasses_spark.loading.images import open_images
from glasses_spark.loading.unlisted import UnlistedFile, find_unlisted
from glasses_spark.reasons import Reason
from tests.faces import write_faces, write_labels

NAMES = [
    "1.png",
    "a b%20c+d#e?-2.png",
    "Gesicht ä 顔 😀-3.png",
    "new\nline-4.png",
    "sub [x]/{y}/5.png",
    "_with=1/6.png",
    ".hidden/7.png",
    "_8.png",
    "9.PNG",
    "\x1b[2J-10.png",
]


def unlisted(
    spark: SparkSession, location: str, glob: str = "*.png", *, later: float = 0
) -> tuple[UnlistedFile, ...]:
    since = time.time() + later
    listing = list_files(open_images(spark, location, glob=glob))
    return find_unlisted(spark, listing, location, glob=glob, since=since)


def latin(folder: Path, name: bytes) -> bytes:
    path = os.fsencode(folder) + b"/" + name
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(b"x")
    return path


def test_both_listings_have_the_same_files(spark: SparkSession, tmp_path: Path) -> None:
    folder = write_faces(tmp_path / "ä [of] {mine}", NAMES)
    (tmp_path / "link").symlink_to(folder)
    (folder / "dangling-11.png").symlink_to("none")
    (folder / "12.png").write_bytes(b"")
    os.mkfifo(folder / "13.png")
    write_faces(tmp_path / "b", ["14.png"])
    locations = [
        (str(folder), 9),
        (f"file:{folder}", 9),
        (f"{folder}/../{folder.name}/", 9),
        (str(tmp_path / "link"), 9),
        (str(tmp_path / "[äb]*"), 10),
        (str(tmp_path / "{b,none}"), 1),
        (str(folder / "1.png"), 1),
        (str(tmp_path / "b" / "*.png"), 1),
    ]
    for location, count in locations:
        assert len(list(list_disk(location, "*.png"))) == count, location
        assert unlisted(spark, location, later=60) == (), location


def test_names_that_are_not_utf8_are_found_in_the_bytes(
    spark: SparkSession, tmp_path: Path
) -> None:
    folder = write_faces(tmp_path / "faces", ["1.png"])
    paths = {latin(folder, name) for name in (b"caf\xe9-2.png", b"\xff\x1b/ok-3.png")}
    latin(folder, b".\xe9-4.png")

    found = list(list_disk(str(folder), "*.png"))
    assert {disk_name(path) for path in found if not is_utf8(path)} == paths
    assert unlisted(spark, str(folder), later=60) == (
        UnlistedFile(rf"{folder}/caf\xe9-2.png", 2, Reason.NAME_NOT_UTF8),
        UnlistedFile(rf"{folder}/\xff\x1b/ok-3.png", 3, Reason.NAME_NOT_UTF8),
    )


def test_a_file_that_spark_has_not_seen_is_unlisted_unless_it_is_newer(
    spark: SparkSession, tmp_path: Path
) -> None:
    folder = write_faces(tmp_path / "faces", ["1.png"])
    listing = list_files(open_images(spark, str(folder)))
    write_faces(folder, ["2.png"])

    def compare(since: float) -> list[str]:
        files = find_unlisted(spark, listing, str(folder), glob="*.png", since=since)
        return [file.reason for file in files]

    assert compare(time.time() + 60) == ["not_listed"]
    assert compare(time.time() - 60) == []


def test_a_folder_of_which_spark_lists_nothing_is_an_error_that_names_the_files(
    spark: SparkSession, tmp_path: Path
) -> None:
    folder = tmp_path / "faces"
    latin(folder, b"caf\xe9-1.png")
    labels = write_labels(tmp_path / "l.csv", {1: 1})

    with pytest.raises(ImagesError, match=r"lists none of the 1 image files: .*caf\\xe9-1\.png"):
        load_dataset(spark, str(folder), str(labels))


def test_a_folder_whose_name_is_not_utf8_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    latin(tmp_path / "x", b"caf\xe9/1.png")

    with pytest.raises(ImagesError, match=r"caf\\xe9: the name is not valid UTF-8"):
        open_images(spark, os.fsdecode(os.fsencode(tmp_path) + b"/x/caf\xe9"))
