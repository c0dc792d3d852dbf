"""Tests for glasses_spark.preflight.advise.measure."""

from __future__ import annotations

from pathlib import Path

import pytest

from glasses_spark.config.config import Config
from glasses_spark.errors import SetupError
from glasses_spark.preflight.advise.measure import choose_worker_counts, measure
from glasses_spark.preflight.advise.task import Task


@pytest.mark.parametrize(
    ("cores", "counts"),
    [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (4, [1, 2, 4]), (16, [1, 4, 16]), (96, [1, 16, 96])],
)
def test_at_most_three_numbers_of_workers_are_measured(cores: int, counts: list[int]) -> None:
    assert list(choose_worker_counts(cores)) == counts


def test_the_error_of_a_failed_probe_has_the_last_line_of_its_output(tmp_path: Path) -> None:
    missing = str(tmp_path / "none.png")
    task = Task(Config(), sample=[missing], workers=[1], cores=1, precisions=["float32"])

    with pytest.raises(SetupError, match=r"the compute measurement failed: .*No such file"):
        measure(task)
