"""Tests for glasses_spark.datasets.drawn.atomic_file."""

from __future__ import annotations

from pathlib import Path

import pytest

from glasses_spark.datasets.drawn.atomic_file import write_file


def test_a_file_is_replaced_without_leftovers(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")

    write_file(path, b"new")

    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"old")
    (tmp_path / ".a.txt.part").mkdir()  # blocks the temporary file

    with pytest.raises(OSError, match="directory"):
        write_file(path, b"new")

    assert path.read_bytes() == b"old"
