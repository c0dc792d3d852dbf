"""Tests for glasses_spark.runtime.hidden_modules, with such files beside a program."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from glasses_spark.runtime.hidden_modules import hiding_files


def run(folder: Path, *program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *program], cwd=folder, capture_output=True, text=True, check=False
    )


def test_only_files_before_those_of_python_hide_modules(tmp_path: Path) -> None:
    for name in ("random.py", "keras.py", "mine.py", "random.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "numpy").mkdir()
    python = os.path.dirname(os.__file__)
    expected = [f"{tmp_path}/keras.py", f"{tmp_path}/random.py"]

    assert hiding_files([str(tmp_path), f"{tmp_path}/none", python]) == expected
    assert hiding_files([python, str(tmp_path)]) == []


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("random", ""),
        ("numpy", ""),
        ("keras", ""),
        ("keras", "raise RuntimeError('mine')"),
    ],
)
def test_an_import_that_fails_names_the_file(tmp_path: Path, module: str, text: str) -> None:
    (tmp_path / f"{module}.py").write_text(text)
    (tmp_path / "train.py").write_text(
        "from glasses_spark import build_estimator, import_keras\nimport_keras()\n"
    )
    done = run(tmp_path, "train.py")
    error = done.stderr.splitlines()[-1]
    assert error.startswith("glasses_spark.errors.SetupError: ")
    assert f"{tmp_path}/{module}.py may be imported in place of" in error


def test_the_program_does_not_import_files_of_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "argparse.py").write_text("raise RuntimeError('mine')")
    assert run(tmp_path, "-m", "glasses_spark", "--version").returncode == 0
