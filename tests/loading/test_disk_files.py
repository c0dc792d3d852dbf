"""Tests for glasses_spark.loading.disk_files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from glasses_spark.errors import ConfigError
from glasses_spark.loading.disk_files import list_disk


def test_links_that_lead_back_end_no_listing(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "1.png").touch()
    (tmp_path / "inner" / "loop").symlink_to(tmp_path)
    (tmp_path / "inner" / "self.png").symlink_to("self.png")
    (tmp_path / "again").symlink_to(tmp_path / "inner")
    names = sorted(path.removeprefix(f"{tmp_path}/") for path in list_disk(str(tmp_path), "*.png"))
    assert names == ["again/1.png", "inner/1.png"]


def test_a_folder_that_is_deleted_meanwhile_ends_no_listing(tmp_path: Path) -> None:
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.png").touch()
    listing = list_disk(str(tmp_path), "*.png")
    first = Path(next(listing))
    shutil.rmtree(tmp_path / ("2" if first.parent.name == "1" else "1"))
    assert list(listing) == []


def test_a_pattern_of_too_many_alternatives_is_refused(tmp_path: Path) -> None:
    assert list(list_disk(str(tmp_path), "*.{png,jpg}")) == []
    with pytest.raises(ConfigError, match="at most 1000 alternatives, got 4194304"):
        list(list_disk(str(tmp_path), "{a,b}" * 22))
