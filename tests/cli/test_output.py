"""Tests for glasses_spark.cli.output."""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path

import pytest

from glasses_spark.cli.output import make_progress, open_output
from glasses_spark.errors import ConfigError
from glasses_spark.runtime.progress import BarProgress


def test_without_a_path_the_output_is_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with open_output(None) as file:
        file.write("a,b\n")
    assert capsys.readouterr().out == "a,b\n"


def test_line_breaks_are_written_unchanged(tmp_path: Path) -> None:
    with open_output(str(tmp_path / "out.csv")) as file:
        file.write("a\r\nb\n")
    assert (tmp_path / "out.csv").read_bytes() == b"a\r\nb\n"


def test_a_file_that_cannot_be_written_names_the_option(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigError, match=r"^--html: cannot write .*: No such file or directory$"),
        open_output(str(tmp_path / "no" / "page.html"), option="--html"),
    ):
        pass


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_is_shown_as_bars_on_a_terminal_only(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setattr(sys, "stderr", stream)

    assert isinstance(make_progress(), BarProgress) == is_terminal
