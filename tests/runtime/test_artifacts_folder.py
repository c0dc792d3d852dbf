"""Tests for glasses_spark.runtime.artifacts_folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from glasses_spark.runtime.artifacts_folder import without_artifacts_folder


def test_what_spark_adds_is_removed_if_it_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with without_artifacts_folder():
        (tmp_path / "artifacts" / "spark-1").mkdir(parents=True)
    assert not (tmp_path / "artifacts").exists()


def test_folders_of_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    artifacts = tmp_path / "artifacts"
    (artifacts / "spark-1").mkdir(parents=True)
    with without_artifacts_folder():
        (artifacts / "spark-2").mkdir()
        (artifacts / "spark-3").mkdir()
        (artifacts / "spark-3" / "file").touch()
    assert sorted(path.name for path in artifacts.iterdir()) == ["spark-1", "spark-3"]


def test_a_removed_current_folder_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with without_artifacts_folder():
        pass
    monkeypatch.chdir(tmp_path)
