"""Tests for glasses_spark.cli.prediction_formats, and for the account of predictions."""

from __future__ import annotations

import io
import json
import logging

import pytest

from glasses_spark.cli.commands import predict
from glasses_spark.cli.prediction_formats import FORMATS
from glasses_spark.scorer.scorer import Score

SCORES = [
    Score("/a.png", 0.25, 0),
    Score("/b.png", 0.75, 1, warning="unlike the training pictures: darker than most"),
    Score("/c.png", error="no face found"),
]


def text(form: str) -> str:
    file = io.StringIO()
    FORMATS[form](SCORES, file)
    return file.getvalue()


def test_the_table_has_warnings_and_errors_after_the_name() -> None:
    assert text("table").splitlines()[1:] == [
        "   0.250000      0  /a.png",
        "   0.750000      1  /b.png: unlike the training pictures: darker than most",
        "          -      -  /c.png: no face found",
    ]


def test_json_has_warnings_and_errors_in_fields_of_their_own() -> None:
    rows = [json.loads(line) for line in text("json").splitlines()]
    assert [row["warning"] for row in rows] == [None, SCORES[1].warning, None]
    assert [row["error"] for row in rows] == [None, None, "no face found"]


def test_the_log_has_the_warnings_and_their_number(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert list(predict._accounted(SCORES)) == SCORES
    assert "/b.png: unlike the training pictures: darker than most" in caplog.text
    assert "/c.png: not scored (no face found)" in caplog.text
    assert "3 files: 2 predicted, 1 quarantined (1 no_face)" in caplog.text
    assert "1 of the predictions are of images unlike the training pictures" in caplog.text
