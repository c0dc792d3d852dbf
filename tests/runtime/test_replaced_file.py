"""Tests for glasses_spark.runtime.replaced_file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from glasses_spark.runtime.replaced_file import replaced_file
from tests.mounts import needs_mounts, run_mounted


def replace(path: Path, text: str) -> None:
    with replaced_file(path) as part:
        assert part.suffix == path.suffix
        part.write_text(text)


def test_a_file_is_replaced_with_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    replace(path, "old")
    path.chmod(0o640)
    (tmp_path / "link.keras").symlink_to("model.keras")

    replace(tmp_path / "link.keras", "new")

    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(tmp_path)) == ["link.keras", "model.keras"]


def test_a_file_stays_if_the_new_one_is_not_completed(tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_text("old")

    def fail_halfway() -> None:
        with replaced_file(path) as part:
            part.write_text("half")
            raise ValueError("disk on fire")

    with pytest.raises(ValueError, match="disk on fire"):
        fail_halfway()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["model.h5"]


@needs_mounts
def test_a_file_that_is_mounted_is_written_to(tmp_path: Path) -> None:
    for name in ("disk", "file"):
        (tmp_path / name).write_text("old")
    program = (
        "from pathlib import Path; import sys\n"
        "from glasses_spark.runtime.replaced_file import replaced_file\n"
        "with replaced_file(Path(sys.argv[1])) as path:\n"
        "    path.write_text('new')\n"
    )
    file = str(tmp_path / "file")
    run_mounted(f"mount --bind {tmp_path}/disk {file}", program, file)
    assert (tmp_path / "disk").read_text() == "new"
    assert sorted(os.listdir(tmp_path)) == ["disk", "file"]


def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    replace(tmp_path / "pipe", "text")
    assert os.read(reader, 10) == b"text"
    os.close(reader)
