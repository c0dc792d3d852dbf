"""Tests for glasses_spark.preflight.footprint."""

from __future__ import annotations

from glasses_spark.preflight.footprint import local_disk_of_run, memory_of_run, store_of_run


def test_memory_grows_by_650_mb_for_each_worker() -> None:
    assert memory_of_run(0) == 1_400_000_000
    assert memory_of_run(3) == 3_350_000_000


def test_disk_space_grows_with_the_pixels_of_all_images() -> None:
    assert local_disk_of_run(images=10, pixels=100) == 3_000
    assert store_of_run(images=10, pixels=100) == 1_000
