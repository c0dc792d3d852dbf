"""Tests for glasses_spark.cli.output."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest

from glasses_spark.cli.output import check_output, make_progress, open_output
from glasses_spark.errors import ConfigError, ResultsError
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


def test_an_earlier_file_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    path.chmod(0o640)
    (tmp_path / "link.csv").symlink_to("out.csv")

    def fail_halfway() -> None:
        with open_output(str(path)) as file:
            file.write("half")
            raise ValueError("no more rows")

    with pytest.raises(ValueError, match="no more rows"):
        fail_halfway()
    assert path.read_text() == "old"

    with open_output(str(tmp_path / "link.csv")) as file:
        file.write("new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.csv", "out.csv"]


def test_a_full_disk_is_no_wrong_call(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")

    def write() -> None:
        with open_output(str(path)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(ResultsError, match=r"^--out: writing .* failed: No space left on device$"):
        write()
    assert path.read_text() == "old"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_the_earlier_file_and_nothing_else(
    number: signal.Signals, tmp_path: Path
) -> None:
    path = tmp_path / "out.csv"
    path.write_text("old")
    # In a process of its own, which a fault would end.
    program = (
        "import signal, sys\n"
        "from glasses_spark.cli.output import open_output\n"
        "path, number = sys.argv[1], int(sys.argv[2])\n"
        "signal.signal(number, signal.SIG_DFL)\n"  # ignored under nohup
        "with open_output(path) as file:\n"
        "    file.write('half')\n"
        "    signal.raise_signal(number)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path), str(int(number))], check=False)
    assert done.returncode == 128 + number
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    check_output(str(tmp_path / "pipe"))
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with open_output(str(tmp_path / "pipe")) as file:
        file.write("a,b")
    assert os.read(reader, 10) == b"a,b"
    os.close(reader)


def test_the_check_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("old")
    check_output(None)
    check_output(str(tmp_path / "old.csv"))
    check_output(str(tmp_path / "new.csv"))
    (tmp_path / "link.csv").symlink_to("new.csv")
    check_output(str(tmp_path / "link.csv"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link.csv", "old.csv"]
    assert (tmp_path / "old.csv").read_text() == "old"
    for name in (".", "old.csv/new.csv"):
        with pytest.raises(ConfigError, match=r"^--out: cannot write .*"):
            check_output(str(tmp_path / name))


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_is_shown_as_bars_on_a_terminal_only(
    is_terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal, raising=False)
    monkeypatch.setattr(sys, "stderr", stream)

    assert isinstance(make_progress(), BarProgress) == is_terminal
