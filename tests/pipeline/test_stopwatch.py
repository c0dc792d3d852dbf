"""Tests for glasses_spark.pipeline.stopwatch."""

from __future__ import annotations

import pytest

from glasses_spark.pipeline.stopwatch import Stopwatch


def test_blocks_are_measured_by_name_in_the_order_in_which_they_end() -> None:
    watch = Stopwatch()
    with watch.timing("total_s"), watch.timing("fit_s"):
        pass
    assert list(watch.seconds) == ["fit_s", "total_s"]
    assert 0 <= watch.seconds["fit_s"] <= watch.seconds["total_s"]


def test_a_block_that_fails_is_left_out() -> None:
    watch = Stopwatch()
    with pytest.raises(ValueError, match="failed"), watch.timing("fit_s"):
        raise ValueError("failed")
    assert watch.seconds == {}
