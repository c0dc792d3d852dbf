"""Tests for glasses_spark.runs.tracking.record."""

from __future__ import annotations

import logging
from importlib.util import find_spec
from pathlib import Path

import pytest

from glasses_spark.config.run import TrackingConfig
from glasses_spark.runs.tracking.record import record_run
from glasses_spark.runtime.progress import Progress
from tests.runs.test_read import write_run


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def test_nothing_is_recorded_by_default(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_run(tmp_path / "run")
    record_run(str(folder), TrackingConfig(), Progress())
    assert not (folder / "tensorboard").exists()
    assert warnings(caplog) == []


def test_epochs_are_written_for_tensorboard(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run")
    record_run(str(folder), TrackingConfig(tensorboard=True), Progress())
    assert any((folder / "tensorboard").rglob("events.*"))


def test_a_run_folder_at_a_uri_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    record_run("s3a://bucket/run", TrackingConfig(tensorboard=True), Progress())
    (warning,) = warnings(caplog)
    assert "tracking needs a run.dir on this machine, found s3a://bucket/run" in warning


@pytest.mark.skipif(find_spec("mlflow") is None, reason="the extra mlflow is not installed")
def test_a_failure_is_a_warning_with_the_reason_and_the_folder(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = write_run(tmp_path / "run")
    (tmp_path / "file").write_text("no folder")
    tracking = TrackingConfig(mlflow=True, uri=str(tmp_path / "file" / "mlruns"))

    record_run(str(folder), tracking, Progress())

    (warning,) = warnings(caplog)
    assert f"cannot log the run {folder} to MLflow" in warning
    assert f"The results in {folder} are complete" in warning
