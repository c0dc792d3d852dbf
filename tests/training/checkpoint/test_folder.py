"""Tests for glasses_spark.training.checkpoint.folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from glasses_spark.training.checkpoint.folder import CheckpointFolder


def write(folder: CheckpointFolder, number: int) -> None:
    folder.write({"number": number}, {"x": np.full(3, number)})


@pytest.fixture
def folder(spark: SparkSession, tmp_path: Path) -> CheckpointFolder:
    return CheckpointFolder(spark, str(tmp_path / "checkpoints"))


def test_a_folder_without_checkpoints_has_none(folder: CheckpointFolder) -> None:
    assert folder.newest() is None


def test_the_last_two_are_kept_and_other_files_are_left_alone(
    folder: CheckpointFolder, tmp_path: Path
) -> None:
    for number in range(4):
        write(folder, number)
        (tmp_path / "checkpoints" / "notes.txt").touch()
    names = sorted(path.name[:19] for path in (tmp_path / "checkpoints").iterdir())
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
    last = sorted((tmp_path / "checkpoints").iterdir())[-1]
    last.write_bytes(last.read_bytes()[:keep])
    newest = folder.newest()
    assert newest is not None
    assert newest[0] == {"number": 1}


def test_a_cleared_folder_has_no_checkpoints(folder: CheckpointFolder) -> None:
    write(folder, 1)
    folder.clear()
    assert folder.newest() is None
