"""Tests for glasses_spark.config.interval."""

from __future__ import annotations

import pytest

from glasses_spark.config.interval import Interval, parse_interval


@pytest.mark.parametrize(
    ("text", "interval"),
    [
        ("epoch", Interval()),
        ("1 step", Interval(steps=1)),
        ("500 steps", Interval(steps=500)),
        ("60 seconds", Interval(seconds=60)),
    ],
)
def test_an_interval_is_read(text: str, interval: Interval) -> None:
    assert parse_interval(text) == interval


@pytest.mark.parametrize("text", ["", "0 steps", "5", "-1 steps", "1.5 seconds", "2 epochs", 5])
def test_other_forms_are_refused(text: object) -> None:
    with pytest.raises(ValueError, match='expected "epoch", a number of steps'):
        parse_interval(text)


def test_an_interval_is_over_by_its_own_unit() -> None:
    assert Interval(steps=5).is_over(steps=5, seconds=0)
    assert not Interval(steps=5).is_over(steps=4, seconds=1000)
    assert Interval(seconds=5).is_over(steps=0, seconds=5)
    assert not Interval(seconds=5).is_over(steps=1000, seconds=4.9)
    assert not Interval().is_over(steps=1000, seconds=1000)
