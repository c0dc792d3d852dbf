"""Tests for glasses_spark.datasets.drawn.processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from glasses_spark.datasets.drawn.processes import draw_here, draw_in_processes
from glasses_spark.errors import ImagesError

LABELS = [(1, 1.0), (2, 0.0), (5, None)]


def test_processes_draw_the_same_files_as_this_process(tmp_path: Path) -> None:
    here, others = tmp_path / "here", tmp_path / "others"
    here.mkdir()
    others.mkdir()

    assert list(draw_here(LABELS, here, 64, 0)) == [1, 2, 5]
    assert sorted(draw_in_processes(LABELS, others, 64, 0, 2)) == [1, 2, 5]

    names = {"face-1.png", "face-2.png", "face-5.png"}
    assert {path.name for path in others.iterdir()} == names
    for name in names:
        assert (here / name).read_bytes() == (others / name).read_bytes()


def test_the_error_of_a_process_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ImagesError, match=r"a drawing process failed: .*face-\d\.png: cannot"):
        list(draw_in_processes(LABELS, tmp_path / "none", 64, 0, 2))
