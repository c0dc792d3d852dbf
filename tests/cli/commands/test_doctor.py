"""Tests for glasses_spark.cli.commands.doctor."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from glasses_spark.cli.main import main


def test_the_doctor_lists_its_checks_and_ends_with_a_summary(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = main(["doctor"])

    lines = capsys.readouterr().out.splitlines()
    assert any("Java" in line for line in lines)
    assert any("tensorflow" in line for line in lines)
    assert (code == 0) == ("a run can start" in lines[-1].lower())


def test_the_doctor_reports_as_json_why_a_run_would_fail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["doctor", "--set", f"data.images={tmp_path / 'none'}", "--json"])

    output = capsys.readouterr()
    report = json.loads(output.out)
    failed = [check["name"] for check in report["checks"] if check["verdict"] == "failed"]
    assert (code, report["ok"]) == (1, False)
    assert "Images" in failed
    assert output.err.startswith("error: this machine is not ready for a run")
