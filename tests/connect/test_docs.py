"""Test of docs/spark-connect.md: its Python runs, in a process of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.paths import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.rotated]

PAGE = ROOT / "docs" / "spark-connect.md"


def test_the_python_of_the_page_runs_as_one_program(server: str, tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    program = tmp_path / "page.py"
    code = "\n".join(blocks).replace("sc://HOST:15002", server)
    program.write_text(code.replace("/tmp/glasses-model", str(tmp_path / "model")))
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, program], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "60"


def test_commands_are_refused_in_one_line(server: str) -> None:
    environment = os.environ | {"SPARK_REMOTE": server, "PYTHONPATH": str(ROOT / "src")}
    command = [sys.executable, "-m", "glasses_spark", "train"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "SPARK_REMOTE is set, but a command needs a classic session" in done.stderr
