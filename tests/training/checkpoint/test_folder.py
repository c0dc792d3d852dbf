"""Tests for glasses_spark.training.checkpoint.folder."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from glasses_spark.training.checkpoint.folder import CheckpointFolder
from tests.elsewhere import mount


def write(folder: CheckpointFolder, number: int) -> None:
    folder.write({"number": number}, {"x": np.full(3, number)})


@pytest.fixture(params=["folder", "URI"])
def folder(spark: SparkSession, tmp_path: Path, request: pytest.FixtureRequest) -> CheckpointFolder:
    """The folder ``checkpoints`` in ``tmp_path``, by its path and by a URI."""
    root = str(tmp_path) if request.param == "folder" else mount(spark, tmp_path)
    return CheckpointFolder(spark, f"{root}/checkpoints/")


def test_a_folder_without_checkpoints_has_none(folder: CheckpointFolder) -> None:
    assert folder.newest() is None


def test_the_last_two_are_kept_and_other_files_are_left_alone(
    folder: CheckpointFolder, tmp_path: Path
) -> None:
    for number in range(4):
        write(folder, number)
        (tmp_path / "checkpoints" / "notes.txt").touch()
    names = sorted(path.name[:19] for path in (tmp_path / "checkpoints").glob("[!.]*"))
    assert names == ["checkpoint-00000003", "checkpoint-00000004", "notes.txt"]
    newest = folder.newest()
    assert newest is not None
    assert newest[0] == {"number": 3}
    assert newest[1]["x"].tolist() == [3, 3, 3]


@pytest.mark.parametrize("keep", [0, 10, 200])
def test_a_truncated_checkpoint_is_skipped(
    folder: CheckpointFolder, tmp_path: Path, keep: int
) -> None:
    write(folder, 1)
    write(folder, 2)
    last = sorted((tmp_path / "checkpoints").glob("*.zip"))[-1]
    last.write_bytes(last.read_bytes()[:keep])
    newest = folder.newest()
    assert newest is not None
    assert newest[0] == {"number": 1}


def test_a_cleared_folder_has_no_checkpoints(folder: CheckpointFolder) -> None:
    write(folder, 1)
    folder.clear()
    assert folder.newest() is None
    assert folder.is_empty()


def test_what_a_killed_process_has_left_is_deleted_by_the_next_checkpoint(
    folder: CheckpointFolder, tmp_path: Path
) -> None:
    write(folder, 1)
    (complete,) = (tmp_path / "checkpoints").glob("checkpoint-*.zip")
    (tmp_path / "checkpoints" / "glasses-spark-checkpoint-x1").mkdir()
    (tmp_path / "checkpoints" / f".{complete.name}.part").write_bytes(b"half")
    write(folder, 2)
    left = [path.name for path in (tmp_path / "checkpoints").iterdir()]
    assert len([name for name in left if name.startswith("checkpoint-")]) == 2
    if folder.location.startswith("viewfs"):
        assert not [name for name in left if name.endswith(".part")]
    else:
        assert "glasses-spark-checkpoint-x1" not in left


def test_what_is_no_file_is_passed_over(spark: SparkSession, tmp_path: Path) -> None:
    def name(number: int) -> Path:
        return tmp_path / f"checkpoint-{number:08d}-{'0' * 64}.zip"

    folder = CheckpointFolder(spark, str(tmp_path))
    write(folder, 1)
    os.mkfifo(name(7))
    name(8).symlink_to("/dev/zero")
    name(9).mkdir()
    newest = folder.newest()
    assert newest is not None
    assert newest[0] == {"number": 1}
    for number in (2, 3, 4):
        write(folder, number)
    folder.clear()
    assert sorted(tmp_path.iterdir()) == [name(7), name(8), name(9)]


def test_any_number_has_a_next_one(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / f"checkpoint-99999999-{'0' * 64}.zip").write_bytes(b"damaged")
    folder = CheckpointFolder(spark, str(tmp_path))
    write(folder, 1)
    newest = folder.newest()
    assert newest is not None
    assert newest[0] == {"number": 1}
