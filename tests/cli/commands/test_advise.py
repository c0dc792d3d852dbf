"""Tests for glasses_spark.cli.commands.advise; tests/preflight/advise/ has the forecasts."""

from __future__ import annotations

import pytest

from glasses_spark.cli.main import main


def test_a_forecast_for_a_cluster_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["advise", "--set", "spark.master=yarn"]) == 2

    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("error: spark.master=yarn is not local")
    assert "local[*]" in lines[-1]
