"""Tests for glasses_spark.runs.target, with real disks where the system lets us mount them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from glasses_spark.errors import ConfigError
from glasses_spark.runs.new_folder import check_target
from glasses_spark.runs.target import locate, try_target
from tests.mounts import needs_mounts, run_mounted

TRY = """
from pathlib import Path
import sys
from glasses_spark.errors import ConfigError
from glasses_spark.runs.new_folder import check_target
try:
    check_target(Path(sys.argv[1]))
except ConfigError as error:
    print(error)
"""


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_try_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    before = tree(tmp_path)
    for name in ("run", "new", "a/b/c"):
        try_target(tmp_path / name)
    assert tree(tmp_path) == before


def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(tmp_path / "gone")
    message = f"run.dir: {tmp_path}/run is a link to {tmp_path}/gone, which does not exist"
    with pytest.raises(ConfigError, match=message):
        try_target(tmp_path / "run")


def test_a_name_that_leaves_no_room_for_unfinished_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"run\.dir: expected a name of at most 200 bytes, got 255: a+\."
    ):
        check_target(tmp_path / ("a" * 255))
    assert not list(tmp_path.iterdir())


def test_a_file_in_the_path_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("file/run", "file/deep/run"):
        with pytest.raises(ConfigError, match=r"run\.dir: cannot create .*: Not a directory"):
            try_target(tmp_path / name)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_parent_folder_without_permission_is_refused(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(ConfigError, match="Permission denied"):
        try_target(tmp_path / "closed" / "run")
    with pytest.raises(ConfigError, match="Permission denied"):
        try_target(tmp_path / "closed" / "deep" / "run")
    with pytest.raises(ConfigError, match="Permission denied"):
        try_target(tmp_path / "closed")


@needs_mounts
def test_a_disk_that_cannot_take_the_results_is_refused(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    for options, name, message in [
        ("ro", "run", "Read-only file system"),
        ("ro", "deep/run", "Read-only file system"),
        ("ro", "", "Read-only file system"),
        ("size=16m", "run", "found 16 MB of free space, wanted at least 32 MB"),
        ("size=512k", "", "No space left on device"),
    ]:
        disk = tmp_path / "disk"
        printed = run_mounted(f"mount -t tmpfs -o {options} x {disk}", TRY, str(disk / name))
        (line,) = printed.splitlines()
        assert line.startswith(f"run.dir: {'cannot create' if 'deep' in name else 'the results'}")
        assert message in line


@needs_mounts
def test_a_mount_point_is_written_inside(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "a folder").mkdir()
    assert not locate(tmp_path / "a folder").inside
    program = (
        "from pathlib import Path; import sys; from glasses_spark.runs.target import locate; "
        "print(locate(Path(sys.argv[1])).inside)"
    )
    # Also a folder of the same file system.
    mounts = [
        (tmp_path / "disk", f"mount -t tmpfs x {tmp_path}/disk"),
        (tmp_path / "a folder", f"mount --bind {tmp_path}/disk '{tmp_path}/a folder'"),
    ]
    for folder, mount in mounts:
        assert run_mounted(mount, program, str(folder)) == "True\n"
        assert run_mounted(mount, TRY, str(folder)) == ""
