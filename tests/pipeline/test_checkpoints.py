"""Tests for glasses_spark.pipeline.checkpoints."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyspark.sql import SparkSession

from glasses_spark.config.run import RunConfig
from glasses_spark.errors import ConfigError
from glasses_spark.pipeline.checkpoints import own_checkpoints, require_resumable
from glasses_spark.runs.folder import check_run_folder
from glasses_spark.training.checkpoint.folder import CheckpointFolder
from tests.elsewhere import mount


@pytest.fixture(params=["folder", "URI"])
def location(spark: SparkSession, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """The run folder ``run`` in ``tmp_path``, by its path and by a URI."""
    root = str(tmp_path) if request.param == "folder" else mount(spark, tmp_path)
    return f"{root}/run"


def write_checkpoint(spark: SparkSession, location: str) -> CheckpointFolder:
    folder = CheckpointFolder(spark, f"{location}/checkpoint")
    folder.write({"number": 1}, {"x": np.zeros(3)})
    return folder


def write_results(run: Path) -> None:
    run.mkdir(exist_ok=True)
    for name in ("config.toml", "metrics.json"):
        (run / name).touch()


def test_a_finished_run_is_not_resumed(spark: SparkSession, tmp_path: Path, location: str) -> None:
    write_results(tmp_path / "run")
    with pytest.raises(ConfigError, match=r"run\.resume: .*/run holds a finished run and no check"):
        require_resumable(spark, RunConfig(dir=location, resume=True))
    require_resumable(spark, RunConfig(dir=location))
    write_checkpoint(spark, location)  # of a later run
    require_resumable(spark, RunConfig(dir=location, resume=True))


def test_a_run_without_a_checkpoint_is_resumed_from_its_start(
    spark: SparkSession, location: str, caplog: pytest.LogCaptureFixture
) -> None:
    require_resumable(spark, RunConfig(dir=location, resume=True))
    assert f"{location} has no checkpoint, so the training begins anew" in caplog.text


def test_checkpoints_are_kept_to_be_resumed_and_deleted_by_a_new_run(
    spark: SparkSession, tmp_path: Path, location: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_checkpoint(spark, location)
    with own_checkpoints(spark, RunConfig(dir=location, resume=True)) as found:
        assert found == folder.location
    assert not folder.is_empty()
    assert caplog.text == ""
    with own_checkpoints(spark, RunConfig(dir=location)) as found:
        assert found == folder.location
    assert folder.is_empty()
    assert "deleted the checkpoint of an interrupted run" in caplog.text
    assert "--resume" in caplog.text


def test_two_processes_cannot_train_to_the_same_folder(spark: SparkSession, tmp_path: Path) -> None:
    run = RunConfig(dir=str(tmp_path / "new" / "run"))
    with own_checkpoints(spark, run):
        folder = write_checkpoint(spark, run.dir)
        with (
            pytest.raises(ConfigError, match=r"run\.dir: another process trains to .*/new/run"),
            own_checkpoints(spark, run),
        ):
            pass
        assert not folder.is_empty()
        folder.clear()
    assert not (tmp_path / "new" / "run").exists()
    with own_checkpoints(spark, run):
        pass


def test_a_folder_with_a_checkpoint_alone_may_be_used_for_a_run(
    spark: SparkSession, tmp_path: Path
) -> None:
    write_checkpoint(spark, str(tmp_path / "run"))
    check_run_folder(tmp_path / "run")
    (tmp_path / "run" / "thesis.txt").touch()
    with pytest.raises(ConfigError, match="not empty and not a run folder"):
        check_run_folder(tmp_path / "run")
