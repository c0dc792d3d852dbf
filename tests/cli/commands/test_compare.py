"""Tests for glasses_spark.cli.commands.compare."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from glasses_spark.cli.main import main
from tests.runs.test_read import write_run


def test_a_comparison_imports_neither_spark_nor_tensorflow(tmp_path: Path) -> None:
    write_run(tmp_path / "first", mode="synchronous")
    write_run(tmp_path / "second", mode="hogwild", predicted=(1.0, 1.0, 0.0, 1.0))
    code = (
        "import sys\n"
        "from glasses_spark.cli.main import main\n"
        "assert main(['compare', 'first', 'second', '--html', 'page.html']) == 0\n"
        "print({'pyspark', 'tensorflow', 'keras'} & set(sys.modules))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )

    lines = done.stdout.splitlines()
    assert lines[-1] == "set()"
    assert ["training.mode", "synchronous", "hogwild"] in [line.split() for line in lines]
    assert "McNemar's test on 3 common test images, against first" in done.stdout
    assert "<h1>" in (tmp_path / "page.html").read_text()


def test_a_comparison_is_printed_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = [str(write_run(tmp_path / name)) for name in ("first", "second")]
    assert main(["compare", *folders, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["common_rows"] == 3


def test_runs_that_cannot_be_compared_end_with_one_line_and_an_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (write_run(tmp_path / name) for name in ("first", "second"))
    assert main(["compare", str(first), str(tmp_path / "none")]) == 2
    assert main(["compare", str(first), str(first)]) == 2
    assert main(["compare", str(first), str(second), "--html", str(tmp_path / "no" / "page")]) == 2
    (second / "history.json").write_text("")
    assert main(["compare", str(first), str(second)]) == 1

    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 4
    assert all(line.startswith("error: ") for line in errors)
    assert "--html: cannot write" in errors[2]
