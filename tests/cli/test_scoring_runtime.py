"""Tests that each command that scores on Spark does so with the configured runtime."""

from __future__ import annotations

from pathlib import Path

import pytest

from glasses_spark.cli.main import main
from tests.cli.calls import Trained


@pytest.mark.slow
@pytest.mark.parametrize("command", ["evaluate", "predict", "watch"])
def test_the_configured_runtime_scores(
    command: str, trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos, run = str(trained.folder / "faces"), str(trained.run)
    call = {
        "evaluate": ["--model", run],
        "predict": ["--spark", "--model", run, photos],
        "watch": [photos, "--model", run, "--output", str(tmp_path / "scores"), "--once"],
    }[command]
    assert main([command, *call, "--set", "evaluation.scoring_runtime=openvino"]) == 0
    assert "openvino scores in float32" in capsys.readouterr().err
