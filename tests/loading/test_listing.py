"""Tests for glasses_spark.loading.listing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from glasses_spark.loading import listing
from glasses_spark.loading.images import open_images, scan
from glasses_spark.loading.listing import UNNUMBERED, Listing, number_in
from tests.faces import write_faces

NAMES = [
    "face-1.png",
    "face-002.png",
    "take 9 face-4 (copy).png",
    "100%205.png",
    "gesicht-ü-8é.png",
    "v2.10.png",
    "a,b#11?*.png",
    "back\\slash12.png",
    "line\nbreak-14.png",
    "face-2147483647.png",
    "face-2147483648.png",
    "none.png",
    "face-٣.png",
    "sub 1/label=2/15.png",
    "_hidden-16.png",
    "other.txt",
]


@pytest.mark.parametrize("chunk", [4, 50_000])
def test_names_and_ids_are_those_of_a_scan(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int
) -> None:
    monkeypatch.setattr(listing, "CHUNK", chunk)
    write_faces(tmp_path, NAMES)
    images = open_images(spark, str(tmp_path))

    listed = Listing(images)

    scanned = {row["file_path"]: row["id"] for row in scan(images).collect()}
    names = [name for names in listed.chunks() for name in names]
    numbers = [None if n == UNNUMBERED else n for n in listed.ids().tolist()]
    assert dict(zip(names, numbers, strict=True)) == scanned
    assert len(listed) == len(names) == 14


def test_names_are_selected_by_a_mask_across_chunks(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "CHUNK", 3)
    write_faces(tmp_path, [f"{number}.png" for number in range(10)])
    listed = Listing(open_images(spark, str(tmp_path)))

    selected = listed.select(np.isin(listed.ids(), [0, 3, 8, 9]))

    assert {listing.base_name(name) for name in selected} == {"0.png", "3.png", "8.png", "9.png"}


def test_empty_files_which_scans_hide_are_counted(spark: SparkSession, tmp_path: Path) -> None:
    write_faces(tmp_path / "some", {"1.png": b"x", "a/2.png": b"", "b/3.png": b"", "4.txt": b""})
    write_faces(tmp_path / "none", {"1.png": b"x"})
    write_faces(tmp_path / "all", {"1.png": b""})

    hidden = {
        name: Listing(open_images(spark, str(tmp_path / name))).hidden
        for name in ("some", "none", "all")
    }

    assert hidden == {"some": 2, "none": 0, "all": 1}


def test_an_empty_folder_has_an_empty_listing(spark: SparkSession, tmp_path: Path) -> None:
    listed = Listing(open_images(spark, str(tmp_path)))

    assert (len(listed), listed.hidden, list(listed.chunks())) == (0, 0, [])
    assert listed.ids().tolist() == []


def test_a_frame_of_names_has_equally_large_partitions(spark: SparkSession, tmp_path: Path) -> None:
    write_faces(tmp_path, {f"{number}.png": b"x" * number for number in range(101)})
    listed = Listing(open_images(spark, str(tmp_path)))
    odd = list(listed.select(listed.ids() % 2 == 1))

    all_parts = listed.to_frame(None, tasks=4).rdd.glom().collect()
    odd_parts = listed.to_frame(odd, tasks=3).rdd.glom().collect()

    assert sorted(len(part) for part in all_parts) == [25, 25, 25, 26]
    assert {listing.base_name(row.value) for part in all_parts for row in part} == {
        f"{number}.png" for number in range(101)
    }
    assert sorted(len(part) for part in odd_parts) == [16, 17, 17]
    assert [row.value for part in odd_parts for row in part] == odd


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("face-1.png", 1),
        ("take 9 face-4 (copy).png", 4),
        ("face-1.jp2", 1),
        ("face-2147483647.png", 2147483647),
        ("face-2147483648.png", None),
        ("none.png", None),
        ("", None),
    ],
)
def test_the_number_in_a_name_is_the_last_before_the_extension(
    name: str, number: int | None
) -> None:
    assert number_in(name) == number
