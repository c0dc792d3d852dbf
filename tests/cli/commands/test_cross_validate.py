"""Tests for glasses_spark.cli.commands.cross_validate; tests/pipeline/ has whole runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from glasses_spark.cli.main import main


@pytest.mark.parametrize("option", [[], ["--out"]], ids=["beside run.dir", "named"])
def test_a_folder_with_other_files_is_not_replaced_by_the_results(
    option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / ("results" if option else "run-cross-validation")
    folder.mkdir()
    (folder / "thesis.txt").write_text("precious")
    out = [*option, str(folder)] if option else []

    assert main(["cross-validate", "--set", f"run.dir={tmp_path / 'run'}", *out]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert str(folder) in line
    assert (folder / "thesis.txt").read_text() == "precious"
