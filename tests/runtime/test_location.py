"""Tests for glasses_spark.runtime.location."""

from __future__ import annotations

from pathlib import Path

import pytest

from glasses_spark.runtime.location import local_path, spark_path


@pytest.mark.parametrize("name", ["plain", "with space", "100%20", "ü"])
def test_a_path_and_its_uris_are_one_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("")

    assert [local_path(text) for text in (str(path), path.as_uri(), f"file:{path}")] == [path] * 3
    assert spark_path(str(path)) == str(path)
    assert spark_path(path.as_uri()) == f"file:{path}"


def test_what_exists_is_taken_literally_and_what_does_not_for_a_glob(tmp_path: Path) -> None:
    (tmp_path / "[x]{y}*?").mkdir()

    assert spark_path(f"{tmp_path}/[x]{{y}}*?") == rf"{tmp_path}/\[x\]\{{y\}}\*\?"
    assert spark_path(f"{tmp_path}/[ab]*") == f"{tmp_path}/[ab]*"


def test_home_and_the_current_folder_are_those_of_python(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "faces").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert spark_path("faces") == spark_path("~/faces") == str(tmp_path / "faces")
    assert spark_path("~/nothing*") == f"{tmp_path}/nothing*"


@pytest.mark.parametrize("uri", ["hdfs://host/faces", "s3a://bucket/a%20b/*.png", "nosuch:/x"])
def test_other_uris_go_on_as_they_are(uri: str) -> None:
    assert local_path(uri) is None
    assert spark_path(uri) == uri
