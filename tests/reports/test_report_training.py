"""Tests for glasses_spark.reports.report_training."""

from __future__ import annotations

from typing import Any

import pytest

from glasses_spark.reports.report_training import learning_section, workers_section
from tests.html_page import Page
from tests.reports import pages
from tests.reports.pages import render


def without_staleness() -> list[dict[str, Any]]:
    history = pages.history()
    for record in history:
        for share in record["workers"]:
            share["staleness"] = 0.0
    return history


def test_the_table_has_one_row_per_epoch() -> None:
    section = learning_section(pages.history())

    assert section["head"] == ["epoch", "loss", "accuracy", "val loss", "val accuracy", "rows"]
    assert section["rows"][1] == pytest.approx((2, 0.3, 0.85, 0.35, 0.8, 200))
    assert section["notes"] == []


def test_workers_are_summed_over_the_epochs() -> None:
    section = workers_section(pages.history(), {})

    assert section["head"] == ["worker", "rows", "seconds", "waiting seconds", "mean staleness"]
    assert section["rows"] == [
        pytest.approx((0, 300, 10.5, 0.75, 0.5)),
        pytest.approx((1, 300, 10.8, 0.75, 0.5)),
    ]


@pytest.mark.parametrize(
    ("history", "sentence"),
    [
        (pages.history(validation=False), "This run has no validation set."),
        ([], "so there are no epochs."),
        ([], "The history has no data on workers."),
        (pages.history(), "Staleness is the mean number of steps"),
    ],
)
def test_a_note_explains_what_the_history_lacks(
    history: list[dict[str, Any]], sentence: str
) -> None:
    assert sentence in Page(render(history=history)).text


@pytest.mark.parametrize(
    ("mode", "reason"),
    [("synchronous", "each update waits for all workers"), ("hogwild", "weights took no step")],
)
def test_a_staleness_of_zero_has_its_reason(mode: str, reason: str) -> None:
    notes = workers_section(without_staleness(), {"training": {"mode": mode}})["notes"]
    assert reason in notes[1]
