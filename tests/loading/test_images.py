"""Tests for glasses_spark.loading.images."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from glasses_spark.errors import ImagesError
from glasses_spark.loading import images as images_module
from glasses_spark.loading.images import (
    is_cheaper_by_name,
    list_images,
    locate_files,
    open_images,
    read_contents,
    scan,
)
from glasses_spark.loading.listing import Listing
from tests.faces import noise_png, write_faces


def ids(spark: SparkSession, folder: Path | str, glob: str = "*.png") -> dict[str, int | None]:
    rows = list_images(spark, str(folder), glob=glob).collect()
    return {row["path"].rpartition("/")[2]: row["id"] for row in rows}


def test_the_id_is_the_last_number_of_the_base_name(spark: SparkSession, tmp_path: Path) -> None:
    expected = {
        "face-1.png": 1,
        "face-002.png": 2,
        "3.png": 3,
        "take 9 face-4 (copy).png": 4,
        "100%205.png": 205,
        "face[6].png": 6,
        "{7}.png": 7,
        "gesicht-ü-8é.png": 8,
        "v2.10.png": 10,
        "a,b#11?*.png": 11,
        "back\\slash12.png": 12,
        "it's-13.png": 13,
        "a+b-14.png": 14,
        "-15.png": 15,
        "face-2147483647.png": 2147483647,
        "face-2147483648.png": None,
        "face-99999999999999999999999.png": None,
        "none.png": None,
        "face-٣.png": None,
    }
    write_faces(tmp_path, list(expected))

    assert ids(spark, tmp_path) == expected


def test_a_number_in_the_extension_or_a_folder_is_not_the_id(
    spark: SparkSession, tmp_path: Path
) -> None:
    write_faces(tmp_path, ["faces-spring-2020/faces-spring-2020/face-1.jp2", "2021/two.mp4"])

    assert ids(spark, tmp_path, glob="*") == {"face-1.jp2": 1, "two.mp4": None}


def test_a_listing_has_the_columns_of_binary_file_without_content(
    spark: SparkSession, tmp_path: Path
) -> None:
    write_faces(tmp_path, {"face-7.png": b"12345"})

    listing = list_images(spark, str(tmp_path))

    assert [f"{name} {kind}" for name, kind in listing.dtypes] == [
        "path string",
        "modificationTime timestamp",
        "length bigint",
        "id int",
    ]
    row = listing.collect()[0]
    assert row["path"] == f"file:{tmp_path}/face-7.png"
    assert row["length"] == 5
    assert row["modificationTime"].timestamp() == pytest.approx(
        (tmp_path / "face-7.png").stat().st_mtime, abs=0.01
    )


def test_subfolders_are_listed_and_add_no_columns(spark: SparkSession, tmp_path: Path) -> None:
    write_faces(tmp_path, ["1.png", "label=1/2.png", "deep/er/3.png", "4.PNG", "5.txt", "_6.png"])

    assert sorted(ids(spark, tmp_path)) == ["1.png", "2.png", "3.png"]
    assert "label" not in open_images(spark, str(tmp_path)).columns


@pytest.mark.parametrize("name", ["plain", "a'b 100%20 [x]{y}*? ü"])
def test_a_folder_of_any_name_is_found_by_path_and_by_uri(
    spark: SparkSession, tmp_path: Path, name: str
) -> None:
    folder = write_faces(tmp_path / name, ["face-1.png"])

    for location in (str(folder), folder.as_uri(), f"file:{folder}", f"{folder}/face-1.png"):
        assert ids(spark, location) == {"face-1.png": 1}


def test_a_pattern_of_folders_is_a_glob(spark: SparkSession, tmp_path: Path) -> None:
    write_faces(tmp_path, ["spring/1.png", "summer/2.png", "winter/3.png"])

    assert sorted(ids(spark, f"{tmp_path}/s*")) == ["1.png", "2.png"]


def test_a_relative_folder_is_resolved_in_the_current_folder(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_faces(tmp_path / "faces", ["1.png"])
    monkeypatch.chdir(tmp_path)

    assert ids(spark, "faces") == {"1.png": 1}


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("/nowhere/faces", "^/nowhere/faces: no such folder. Give the folder, glob or URI"),
        ("/nowhere/*", r"^/nowhere/\*: no such folder"),
        ("", "^no images given. Set data.images"),
        ("nosuchfs://host/faces", "cannot be listed .*nosuchfs"),
    ],
)
def test_a_location_that_does_not_exist_is_an_error(
    spark: SparkSession, location: str, message: str
) -> None:
    with pytest.raises(ImagesError, match=message):
        list_images(spark, location)


def test_a_folder_without_matching_files_is_an_error_that_shows_the_glob(
    spark: SparkSession, tmp_path: Path
) -> None:
    for files in ([], ["face-1.jpg"]):
        write_faces(tmp_path, files)
        with pytest.raises(ImagesError, match=r"no file matches '\*.png'.*data.glob") as error:
            list_images(spark, str(tmp_path))
        assert str(error.value).startswith(f"{tmp_path}: ")


def test_two_files_with_the_same_number_are_an_error_that_names_both(
    spark: SparkSession, tmp_path: Path
) -> None:
    write_faces(tmp_path, ["a/face-7.png", "b/face-007.png", "face-8.png", "x.png", "y.png"])

    with pytest.raises(ImagesError, match="two files have the same number") as error:
        list_images(spark, str(tmp_path))

    assert f"file:{tmp_path}/a/face-7.png and file:{tmp_path}/b/face-007.png (7)" in str(
        error.value
    )


def test_a_colon_in_a_name_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    write_faces(tmp_path, ["face:1.png", "face-2.png"])

    with pytest.raises(
        ImagesError, match=r"face:1\.png: Spark cannot open a name that contains a colon"
    ):
        list_images(spark, str(tmp_path))


def test_only_the_needed_files_are_opened(spark: SparkSession, tmp_path: Path) -> None:
    names = ["face-1.png", "100%20 [2] ü's.png", "gone-3.png"]
    write_faces(tmp_path, {name: noise_png(seed=len(name)) for name in names})
    images = open_images(spark, str(tmp_path))
    listed = Listing(images)
    needed = list(listed.select(listed.ids() != 3))
    # Opening this file would fail now.
    (tmp_path / "gone-3.png").unlink()

    rows = read_contents(images, needed, count=2).collect()

    contents = {row["path"].rpartition("/")[2]: (row["id"], bytes(row["content"])) for row in rows}
    assert contents == {
        "face-1.png": (1, noise_png(seed=10)),
        "100%20 [2] ü's.png": (2, noise_png(seed=18)),
    }


def test_files_are_read_by_name_if_that_is_cheaper(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_cheaper_by_name(9, of=10)
    assert is_cheaper_by_name(8, of=10)
    monkeypatch.setattr(images_module, "MAX_NAMED_FILES", 7)
    assert not is_cheaper_by_name(8, of=10)


def test_small_files_are_combined_into_a_few_tasks_per_slot(
    spark: SparkSession, tmp_path: Path
) -> None:
    write_faces(tmp_path, {f"{number}.png": b"x" for number in range(600)})
    images = open_images(spark, str(tmp_path))

    # Spark by itself plans 20 tasks here. The session has two slots.
    assert read_contents(images, None, count=600).rdd.getNumPartitions() == 8
    assert read_contents(images, None, count=1300).rdd.getNumPartitions() == 11
    assert scan(images).rdd.getNumPartitions() == 8


@pytest.mark.parametrize("named", [True, False])
def test_located_files_have_the_paths_and_ids_of_a_scan(
    spark: SparkSession, tmp_path: Path, named: bool
) -> None:
    names = [
        "face-1.png",
        "100%205.png",
        "a+b-14.png",
        "gesicht-ü-8é.png",
        "back\\slash12.png",
        "line\nbreak-15.png",
        "two  spaces 16.png",
        "sub 1/label=2/17.png",
        "none.png",
    ]
    write_faces(tmp_path, names)
    images = open_images(spark, str(tmp_path))
    listed = Listing(images)
    every = [name for chunk in listed.chunks() for name in chunk]

    located = locate_files(images, listed, every if named else None, count=len(names))

    assert located.columns == ["path", "id"]
    scanned = scan(images).select("path", "id")
    assert sorted(located.collect(), key=str) == sorted(scanned.collect(), key=str)
    assert located.count() == len(names)


@pytest.mark.parametrize(("count", "tasks"), [(1, 1), (3, 3), (512, 4), (513, 6), (1300, 12)])
def test_located_files_are_spread_evenly_over_slots_without_empty_tasks(
    spark: SparkSession, tmp_path: Path, count: int, tasks: int
) -> None:
    write_faces(tmp_path, {"1.png": b"x"})
    images = open_images(spark, str(tmp_path))

    located = locate_files(images, Listing(images), None, count=count)

    assert located.rdd.getNumPartitions() == tasks  # the session has two slots
