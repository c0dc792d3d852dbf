"""Tests for glasses_spark.training.fit_progress."""

from __future__ import annotations

import io
from itertools import pairwise

import pytest

from glasses_spark.training.fit_progress import FitProgress, format_seconds
from glasses_spark.training.history import EpochRecord
from glasses_spark.training.schedule import Schedule
from glasses_spark.training.server.state import FitStatus
from tests.training.clock import Clock

SCHEDULE = Schedule("asynchronous", "batch", 2, 4, (60, 40), (0, 0))
RECORD = EpochRecord(1, {"accuracy": 0.5, "loss": 0.25}, 100)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(verbose: int | str, stream: io.StringIO) -> str:
    """Return what the first half of a fit writes, which takes 20 s."""
    clock = Clock()
    progress = FitProgress(SCHEDULE, verbose, stream=stream, clock=clock)
    progress.show(FitStatus(0, 0, alive=1, workers=2))
    clock.now = 10.0
    progress.show(FitStatus(0, 50, alive=2, workers=2))
    clock.now = 20.0
    progress.end_epoch(RECORD, FitStatus(1, 0, alive=2, workers=2))
    progress.close()
    return stream.getvalue()


def test_nothing_is_written_with_verbose_0() -> None:
    assert written(0, io.StringIO()) == ""


@pytest.mark.parametrize("verbose", [2, "auto"])
def test_a_line_for_each_epoch_has_metrics_speed_workers_and_time_left(verbose: int | str) -> None:
    assert written(verbose, io.StringIO()) == (
        "Epoch 1/2 - 20 s - accuracy: 0.5000 - loss: 0.2500 - 5 rows/s - 2/2 workers - 20 s left\n"
    )


@pytest.mark.parametrize(("verbose", "stream"), [(1, io.StringIO()), ("auto", Terminal())])
def test_a_live_line_is_written_over(verbose: int | str, stream: io.StringIO) -> None:
    lines = written(verbose, stream).split("\r")
    assert [line.rstrip() for line in lines] == [
        "Epoch 1/2 - 0/100 rows - starting - 1/2 workers",
        "Epoch 1/2 - 50/100 rows - 5 rows/s - 2/2 workers - 30 s left",
        "Epoch 1/2 - 20 s - accuracy: 0.5000 - loss: 0.2500 - 5 rows/s - 2/2 workers - 20 s left",
    ]
    assert all(len(line) >= len(before) for before, line in pairwise(lines))


def test_a_resumed_fit_counts_the_rows_since_it_was_resumed() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = FitProgress(
        Schedule("asynchronous", "batch", 4, 4, (60, 40), (0, 0)), 1, stream=stream, clock=clock
    )
    progress.show(FitStatus(2, 0, alive=2, workers=2))
    clock.now = 10.0
    progress.show(FitStatus(2, 50, alive=2, workers=2))
    assert stream.getvalue().endswith("5 rows/s - 2/2 workers - 30 s left")


def test_the_start_of_the_workers_does_not_count_as_time_of_training() -> None:
    stream, clock = io.StringIO(), Clock()
    progress = FitProgress(SCHEDULE, 1, stream=stream, clock=clock)
    for clock.now in (0.0, 30.0):
        progress.show(FitStatus(0, 0, alive=2, workers=2))
    clock.now = 40.0
    progress.show(FitStatus(0, 50, alive=2, workers=2))
    assert stream.getvalue().endswith("5 rows/s - 2/2 workers - 30 s left")


def test_there_is_no_line_after_the_last_epoch() -> None:
    stream = io.StringIO()
    progress = FitProgress(SCHEDULE, 1, stream=stream)
    progress.show(FitStatus(2, 0, alive=2, workers=2))
    assert stream.getvalue() == ""


def test_an_open_live_line_is_ended_when_the_fit_fails() -> None:
    stream = io.StringIO()
    progress = FitProgress(SCHEDULE, 1, stream=stream)
    progress.show(FitStatus(0, 0, alive=1, workers=2))
    progress.close()
    assert stream.getvalue().endswith("\n")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(4.04, "4.0 s"), (59.4, "59 s"), (125, "2:05 min"), (5400, "1:30 h"), (3599.7, "1:00 h")],
)
def test_a_duration_is_short(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
