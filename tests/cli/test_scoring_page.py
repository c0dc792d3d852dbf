"""Tests for docs/scoring.md: its commands and its Python run from top to bottom."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import pytest

from glasses_spark import GlassesModel
from tests.cli.calls import Trained
from tests.paths import ROOT

PAGE = ROOT / "docs" / "scoring.md"


@pytest.fixture
def folder(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files that the page names."""
    (tmp_path / "runs").mkdir()
    shutil.copytree(trained.run, tmp_path / "runs" / "demo")
    for name in ("faces", "photos"):
        shutil.copytree(trained.folder / "faces", tmp_path / name)
    face = trained.folder / "faces" / "face-1.png"
    shutil.copy(face, tmp_path / "me.png")
    cv2.imwrite(str(tmp_path / "you.jpg"), cv2.imread(str(face)))
    shutil.copy(tmp_path / "you.jpg", tmp_path / "holiday.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_the_commands_run(folder: Path) -> None:
    commands = re.findall(r"^    (.*glasses-spark .*)$", PAGE.read_text(), re.M)
    assert len(commands) == 10
    commands = [command for command in commands if "hdfs:" not in command]
    for command in commands:
        called = command.replace("glasses-spark", f"{sys.executable} -m glasses_spark")
        done = subprocess.run(called, shell=True, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stderr)
        # Each writes to one place.
        prints = ("predict" in command and "--out" not in command) or "evaluate" in command
        assert bool(done.stdout) == prints, command
        compares = "export" in command or "scoring_runtime" in command
        assert ("differs from Keras by at most" in done.stderr) == compares, command
    assert Path("photos.csv").read_text().startswith("path,probability,predicted_label")
    assert Path("glasses.onnx").is_file()
    assert Path("glasses.tflite.json").is_file()
    assert list(Path("scores").glob("batch=0/*.parquet"))


@pytest.mark.slow
def test_the_python_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names: dict[str, Any] = {"model": GlassesModel.load(f"file:{folder / 'runs/demo/model'}")}
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    for block in blocks:
        exec(block, names)
    assert len(blocks) == 2
    assert "face-1.png" in capsys.readouterr().out
