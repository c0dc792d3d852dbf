"""Tests for glasses_spark.runtime.hadoop, on a file system that only Hadoop reaches."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from glasses_spark.runtime import hadoop
from tests.elsewhere import mount


@pytest.fixture
def root(spark: SparkSession, tmp_path: Path) -> str:
    """A URI under which ``tmp_path / "remote"`` is found."""
    (tmp_path / "remote").mkdir()
    return mount(spark, tmp_path / "remote")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A local folder with a file in a folder whose name needs no decoding."""
    file = tmp_path / "local" / "a b%20c" / "file.txt"
    file.parent.mkdir(parents=True)
    file.write_text("text")
    return tmp_path / "local"


def test_a_folder_is_copied_there_and_back(
    spark: SparkSession, root: str, folder: Path, tmp_path: Path
) -> None:
    hadoop.put(spark, folder, f"{root}/new/copy")
    hadoop.get(spark, f"{root}/new/copy", tmp_path / "back")

    assert (tmp_path / "remote/new/copy/a b%20c/file.txt").read_text() == "text"
    assert [path.name for path in (tmp_path / "back").rglob("*")] == ["a b%20c", "file.txt"]


def test_an_existing_location_is_not_replaced(spark: SparkSession, root: str, folder: Path) -> None:
    hadoop.put(spark, folder, f"{root}/copy")
    with pytest.raises(FileExistsError, match=f"^{root}/copy exists already$"):
        hadoop.put(spark, folder, f"{root}/copy")


def test_files_folders_and_missing_locations_are_distinguished(
    spark: SparkSession, root: str, tmp_path: Path
) -> None:
    (tmp_path / "remote" / "file").write_text("")
    (tmp_path / "remote" / "folder").mkdir()

    existing = [hadoop.exists(spark, f"{root}/{name}") for name in ("file", "folder", "none")]
    folders = [hadoop.is_folder(spark, f"{root}/{name}") for name in ("file", "folder", "none")]

    assert existing == [True, True, False]
    assert folders == [False, True, False]
    assert hadoop.list_names(spark, root) == ["file", "folder"]


def test_a_folder_is_renamed_and_deleted(spark: SparkSession, root: str, folder: Path) -> None:
    hadoop.put(spark, folder, f"{root}/old")
    hadoop.move(spark, f"{root}/old", f"{root}/new")
    assert hadoop.list_names(spark, root) == ["new"]

    hadoop.delete(spark, f"{root}/new")
    hadoop.delete(spark, f"{root}/new")
    assert hadoop.list_names(spark, root) == []


def test_a_path_is_on_a_disk_by_the_default_file_system(spark: SparkSession, root: str) -> None:
    assert hadoop.is_disk(spark, "/faces")
    assert hadoop.is_disk(spark, "file:/faces")
    assert not hadoop.is_disk(spark, f"{root}/faces")
    assert hadoop.qualify(spark, "/faces") == "file:/faces"


def test_an_unknown_file_system_is_an_error_with_a_reason_in_one_line(spark: SparkSession) -> None:
    with pytest.raises(hadoop.error_types()) as caught:
        hadoop.exists(spark, "nosuch://host/x")
    assert 'No FileSystem for scheme "nosuch"' in hadoop.reason_of(caught.value)
