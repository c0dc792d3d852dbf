"""Tests for glasses_spark.runtime.folder_lock."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from glasses_spark.errors import ConfigError
from glasses_spark.runtime.folder_lock import locked_folder

TAKEN = ConfigError("another process has it")


def test_another_process_is_refused_until_the_first_one_ends(tmp_path: Path) -> None:
    folder = tmp_path / "run" / "checkpoints"
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from glasses_spark.runtime.folder_lock import locked_folder\n"
        "with locked_folder(Path(sys.argv[1]), RuntimeError()):\n"
        "    print('locked', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        with (
            pytest.raises(ConfigError, match="another process has it"),
            locked_folder(folder, TAKEN),
        ):
            pass
        process.kill()
    with locked_folder(folder, TAKEN):
        (folder / "file").touch()
    assert (folder / "file").exists()


def test_an_empty_folder_does_not_stay(tmp_path: Path) -> None:
    with locked_folder(tmp_path / "run" / "checkpoints", TAKEN):
        assert (tmp_path / "run" / "checkpoints").is_dir()
    assert not (tmp_path / "run").exists()


def test_a_location_that_is_no_folder_has_no_lock() -> None:
    with locked_folder(None, TAKEN), locked_folder(None, TAKEN):
        pass
