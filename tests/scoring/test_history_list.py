"""Tests for glasses_spark.scoring.history_list; test_notebook_html.py tests the charts."""

from __future__ import annotations

import json

from glasses_spark.scoring.history_list import HistoryList

EPOCH = {"epoch": 1, "loss": 0.5}


def test_a_history_list_equals_a_plain_list_and_is_saved_as_one() -> None:
    assert HistoryList([EPOCH]) == [EPOCH]
    assert json.dumps(HistoryList([EPOCH])) == '[{"epoch": 1, "loss": 0.5}]'


def test_a_notebook_shows_the_count_of_epochs() -> None:
    assert "1 epoch<" in HistoryList([EPOCH])._repr_html_()
    assert "2 epochs<" in HistoryList([EPOCH, {"epoch": 2, "loss": 0.25}])._repr_html_()
