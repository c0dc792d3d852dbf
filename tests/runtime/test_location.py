"""Tests for glasses_spark.runtime.location."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from glasses_spark.errors import ImagesError, LabelsError
from glasses_spark.loading.images import list_images
from glasses_spark.loading.labels import load_labels
from glasses_spark.runtime.location import (
    data_path,
    is_on_disk,
    is_remote,
    is_uri,
    local_path,
    spark_path,
)
from tests.elsewhere import mount


@pytest.mark.parametrize("name", ["plain", "with space", "100%20", "ü"])
def test_a_path_and_its_uris_name_the_same_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("")

    assert [local_path(text) for text in (str(path), path.as_uri(), f"file:{path}")] == [path] * 3
    assert spark_path(str(path)) == str(path)
    assert spark_path(path.as_uri()) == f"file:{path}"


def test_an_existing_path_is_taken_literally_and_any_other_may_be_a_glob(tmp_path: Path) -> None:
    (tmp_path / "[x]{y}*?").mkdir()

    assert spark_path(f"{tmp_path}/[x]{{y}}*?") == rf"{tmp_path}/\[x\]\{{y\}}\*\?"
    assert spark_path(f"{tmp_path}/[ab]*") == f"{tmp_path}/[ab]*"


def test_relative_paths_start_at_the_folder_of_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "faces").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert spark_path("faces") == spark_path("~/faces") == str(tmp_path / "faces")
    assert spark_path("~/nothing*") == f"{tmp_path}/nothing*"


@pytest.mark.parametrize("uri", ["hdfs://host/faces", "s3a://bucket/a%20b/*.png", "nosuch:/x"])
def test_other_uris_are_unchanged(uri: str) -> None:
    assert local_path(uri) is None
    assert spark_path(uri) == uri


@pytest.mark.parametrize(
    ("location", "uri", "remote"),
    [
        ("faces", False, False),
        ("/faces/a:b", False, False),
        ("file:/faces", True, False),
        ("file:///faces", True, False),
        ("viewfs:/faces", True, True),
        ("s3a://bucket/faces", True, True),
        ("https://host/labels.csv", True, True),
    ],
)
def test_a_uri_is_remote_unless_its_scheme_is_file(location: str, uri: bool, remote: bool) -> None:
    assert (is_uri(location), is_remote(location)) == (uri, remote)


@pytest.fixture
def other_default(spark: SparkSession, tmp_path: Path) -> Iterator[None]:
    """Let Spark's default file system be another one than the disk, as Hadoop's edge nodes do."""
    (tmp_path / "elsewhere").mkdir()
    root = mount(spark, tmp_path / "elsewhere").removesuffix("/mnt")
    configuration, key = spark.sparkContext._jsc.hadoopConfiguration(), "fs.defaultFS"
    before = configuration.get(key)
    configuration.set(key, root)
    yield
    configuration.set(key, before)


@pytest.mark.usefixtures("other_default")
def test_a_plain_path_is_on_this_machine_in_local_mode(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces = tmp_path / "faces [1]"
    faces.mkdir()
    (faces / "face-7.png").write_bytes(b"png")
    labels = tmp_path / "labels.csv"
    labels.write_text("index,label\n7,1.0\n")
    monkeypatch.chdir(tmp_path)

    for location in (str(faces), "faces [1]", "faces ?1?/*.png"):
        (row,) = list_images(spark, location).collect()
        assert (row["id"], row["path"]) == (7, f"file:{faces}/face-7.png")
        assert is_on_disk(spark, location)
    assert load_labels(spark, "labels.csv") == {7: 1.0}
    assert data_path(spark, "viewfs://x/y") == "viewfs://x/y"
    with pytest.raises(ImagesError, match="nothing: no such folder"):
        list_images(spark, "nothing")
    with pytest.raises(LabelsError, match=r"nothing\.csv: no such file"):
        load_labels(spark, "nothing.csv")
