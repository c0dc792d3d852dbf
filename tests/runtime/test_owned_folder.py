"""Tests for glasses_spark.runtime.owned_folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from glasses_spark.runtime.owned_folder import (
    OWNER,
    claim,
    new_folder,
    owned_folder,
    process_folder,
    remove_abandoned_folders,
)

HOLD = """
import sys, time
from glasses_spark.runtime.owned_folder import owned_folder, process_folder
with owned_folder("stage") as folder:
    (folder / "deep").mkdir()
    (folder / "deep" / "file").write_text("x")
    (process_folder() / "file").write_text("x")
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def hold(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(folder)},
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_folders_of_a_living_process_stay_and_those_of_a_killed_one_are_removed(
    temporary: Path,
) -> None:
    with hold(temporary) as process:
        before = sorted(temporary.rglob("*"))
        assert len(before) == 7  # two folders, each with its owner, and the files
        remove_abandoned_folders()
        assert sorted(temporary.rglob("*")) == before
        process.send_signal(signal.SIGKILL)
    remove_abandoned_folders()
    assert list(temporary.iterdir()) == []


def test_a_process_removes_its_folders_at_its_end(temporary: Path) -> None:
    with hold(temporary) as process:
        process.communicate("")
    assert process.returncode == 0
    assert list(temporary.iterdir()) == []


def test_a_fork_has_a_folder_of_its_own(temporary: Path) -> None:
    program = (
        "import os, sys\n"
        "from glasses_spark.runtime.owned_folder import process_folder\n"
        "ours = process_folder()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    assert process_folder() != ours\n"
        "    sys.exit()\n"
        "os.waitpid(pid, 0)\n"
        "assert process_folder() == ours and ours.is_dir()\n"
        "assert len(os.listdir(ours.parent)) == 1\n"
    )
    subprocess.run(
        [sys.executable, "-c", program], check=True, env={**os.environ, "TMPDIR": str(temporary)}
    )


def test_folders_of_others_are_left_alone(temporary: Path) -> None:
    (temporary / "glasses-spark-tests").mkdir()
    (temporary / "glasses-spark-tests" / "file").write_text("x")
    (temporary / "glasses-spark-new").mkdir()  # a moment old
    (temporary / "glasses-spark-link").symlink_to(temporary / "glasses-spark-tests")
    other_host = new_folder("glasses-spark-")
    (other_host.path / OWNER).write_text("another-boot another-machine")
    other_host.release()

    remove_abandoned_folders()

    assert len(list(temporary.iterdir())) == 4
    assert claim(other_host.path) is None


def test_an_empty_folder_of_a_process_that_was_killed_at_once_is_removed(temporary: Path) -> None:
    (temporary / "glasses-spark-new").mkdir()
    os.utime(temporary / "glasses-spark-new", (0, 0))
    remove_abandoned_folders()
    assert list(temporary.iterdir()) == []


def test_a_folder_is_removed_after_its_block(temporary: Path) -> None:
    with owned_folder("model") as folder:
        (folder / "file").write_text("x")
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(temporary.iterdir()) == []


def test_a_process_has_one_folder() -> None:
    assert process_folder() == process_folder()
