"""Tests for glasses_spark.preflight.advise.advice."""

from __future__ import annotations

import pytest

from glasses_spark.preflight.advise.advice import advise
from glasses_spark.preflight.advise.forecast import Forecast


def make_forecast(way: str, workers: int, total: float, memory: int = 1) -> Forecast:
    return Forecast(way, workers, "float32", 1.0, 1.0, total, total, memory)


@pytest.mark.parametrize(
    ("one", "two", "keras", "answer", "reason"),
    [
        (100.0, 60.0, 90.0, "2 workers", "2 workers take 60 s, 1 takes 100 s"),
        (100.0, 60.0, 50.0, "no Spark", "takes 50 s, the fastest run with Spark takes 60 s"),
        (60.0, 80.0, 90.0, "one worker", "one worker takes 60 s on all cores, 2 workers take 80 s"),
        (61.0, 60.0, 90.0, "one worker", "one worker takes 61 s on all cores, 2 workers take 60 s"),
        (61.0, 60.0, 59.0, "one worker", "plain Keras in one process takes 59 s"),
    ],
)
def test_the_advice_follows_from_the_times(
    one: float, two: float, keras: float, answer: str, reason: str
) -> None:
    rows = [
        make_forecast("a/b", 1, one),
        make_forecast("a/b", 2, two),
        make_forecast("keras", 0, keras),
    ]

    advice = advise(rows, way="a/b", precision="float32", memory=10)

    assert advice.answer == answer
    assert reason in advice.reason


def test_a_run_that_exceeds_the_memory_is_not_advised() -> None:
    rows = [
        make_forecast("a/b", 1, 90),
        make_forecast("a/b", 2, 60, memory=20),
        make_forecast("keras", 0, 50, memory=20),
    ]

    advice = advise(rows, way="a/b", precision="float32", memory=10)

    assert (advice.answer, advice.best.workers) == ("one worker", 1)


def test_only_the_configured_mode_and_frequency_are_advised() -> None:
    rows = [
        make_forecast("a/b", 1, 90),
        make_forecast("c/d", 2, 10),
        make_forecast("keras", 0, 500),
    ]

    assert advise(rows, way="a/b", precision="float32", memory=10).best.way == "a/b"
