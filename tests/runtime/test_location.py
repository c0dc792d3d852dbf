"""Tests for glasses_spark.runtime.location."""

from __future__ import annotations

from pathlib import Path

import pytest

from glasses_spark.runtime.location import is_remote, is_uri, local_path, spark_path


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
