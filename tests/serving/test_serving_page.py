"""Tests for docs/serving.md: its requests are answered as it says."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.faces import noise_png
from tests.paths import ROOT
from tests.serving.service import running, write_model

PAGE = ROOT / "docs" / "serving.md"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_requests_are_answered(tmp_path: Path) -> None:
    write_model(tmp_path / "model.onnx")
    for name in ("me.png", "you.jpg"):
        (tmp_path / name).write_bytes(noise_png())  # the content tells the format
    text = PAGE.read_text()
    commands = re.findall(r"^    (curl .*)$", text, re.M)
    assert len(commands) == 2
    with running(tmp_path / "model.onnx") as service:
        for command in commands:
            called = command.replace("http://127.0.0.1:8000", service.url)
            done = subprocess.run(
                called, shell=True, cwd=tmp_path, capture_output=True, text=True, check=True
            )
            answer = json.loads(done.stdout)
            (example,) = re.findall(r"^    (\{.*?\]\})$", text, re.M | re.S)
            shown = json.loads(example)
            assert answer.keys() == shown.keys()
            assert answer["results"][0].keys() == shown["results"][0].keys()
            assert len(answer["results"]) == command.count("@")
