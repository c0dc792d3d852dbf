"""Tests for glasses_spark.cli.commands.draw_faces."""

from __future__ import annotations

from pathlib import Path

import pytest

from glasses_spark.cli.main import main
from tests.cli.calls import error_of


def test_faces_are_drawn_into_the_folder_of_the_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("index,label\n1,1.0\n2,0.0\n3,\n")
    call = ["draw-faces", "--size", "64", "--set", f"data.images={tmp_path / 'out'}"]

    assert main([*call, "--labels", str(labels)]) == 0

    assert capsys.readouterr().out == (
        f"{tmp_path / 'out'}: 1 faces with glasses, 1 without, "
        "1 with an undefined label; 3 drawn now\n"
    )
    assert len(list((tmp_path / "out").glob("face-*.png"))) == 3


def test_a_missing_labels_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = tmp_path / "none.csv"
    line = error_of(
        ["draw-faces", "--labels", str(missing), "--out", str(tmp_path / "out")], capsys
    )
    assert str(missing) in line
