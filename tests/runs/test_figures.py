"""Tests for glasses_spark.runs.figures: files of a run folder that a stranger wrote."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from glasses_spark.errors import DataError
from glasses_spark.printable import printable
from glasses_spark.runs.figures import MAX_NAMES, read_history, read_metrics
from glasses_spark.runs.folder import MAX_JSON_BYTES

RECORD = {"epoch": 1, "loss": 0.5, "rows": 8, "workers": [{"worker": 0, "rows": 8}]}


def metrics_of(folder: Path, text: str) -> dict[str, Any]:
    (folder / "metrics.json").write_text(text)
    return read_metrics(folder)


def history_of(folder: Path, text: str) -> list[dict[str, Any]]:
    (folder / "history.json").write_text(text)
    return read_history(folder)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "expected a table, got []"),
        ('{"timings": 1}', "timings: expected a table, got 1"),
        ('{"timings": {"fit_s": "1"}}', "timings.fit_s: expected a number, got '1'"),
        ('{"timings": {"fit_s": true}}', "timings.fit_s: expected a number, got True"),
        ('{"digests": {"data": 1}}', "digests.data: expected a string, got 1"),
        ('{"environment": []}', "environment: expected a table, got []"),
        ('{"test": {"accuracy": NaN}}', "test.accuracy: expected a finite number, got nan"),
        ('{"test": {"accuracy": 1e999}}', "test.accuracy: expected a finite number, got inf"),
        (f'{{"test": {{"rows": {10**40}}}}}', "test.rows: expected a number below"),
        ('{"test": {"intervals": 5}}', "test.intervals: expected a table, got 5"),
        (
            '{"test": {"intervals": {"f1": [0, "1"]}}}',
            "test.intervals.f1: expected a pair of numbers, got [0, '1']",
        ),
        ('{"a": ' + "[" * 20 + "]" * 20 + "}", "expected at most 10 levels"),
        ("[" * 100_000, "nested too deeply"),
        (f'{{"a": {"9" * 5000}}}', "expected JSON"),
        (json.dumps({str(n): 0 for n in range(MAX_NAMES + 1)}), "at most 10,000 names in a table"),
        ('"' + "a" * MAX_JSON_BYTES + '"', "at most 67,108,864 bytes, found 67,108,866"),
        ('{"\\u001b]0;x": 1, "test": {"a": NaN}}', "test.a: expected a finite number"),
        ('{"test": {"a": 1e308}}', "test.a: expected a number up to 3e+38, got 1e+308"),
    ],
    ids=lambda value: value[:30],
)
def test_metrics_of_another_form_are_refused_with_their_place(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(DataError) as caught:
        metrics_of(tmp_path, text)
    assert str(caught.value).startswith(f"{tmp_path}/metrics.json: expected ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 0}, "[0].epoch: expected a whole number from 1, got 0"),
        ({"epoch": "1"}, "[0].epoch: expected a whole number from 1, got '1'"),
        ({"loss": "low"}, "[0].loss: expected a number, got 'low'"),
        ({"loss": [1]}, "[0].loss: expected a number, got [1]"),
        ({"workers": 3}, "[0].workers: expected a list of tables, got 3"),
        ({"workers": [1]}, "[0].workers: expected a list of tables, got [1]"),
        ({"workers": [{"worker": 0, "rows": "8"}]}, "[0].workers[0].rows: expected a number"),
        ({"workers": [{"rows": 8}]}, "[0].workers[0].worker: expected a whole number"),
    ],
)
def test_a_history_of_another_form_is_refused_with_its_place(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError) as caught:
        history_of(tmp_path, json.dumps([RECORD | changes]))
    assert str(caught.value).startswith(f"{tmp_path}/history.json: expected ")
    assert message in str(caught.value)


@pytest.mark.parametrize("text", ["{}", "[1]", "null"])
def test_a_history_is_a_list_of_tables(tmp_path: Path, text: str) -> None:
    with pytest.raises(DataError, match=r"expected a (list of epochs|table), got"):
        history_of(tmp_path, text)


def test_what_train_writes_is_read(tmp_path: Path) -> None:
    assert history_of(tmp_path, json.dumps([RECORD, RECORD | {"epoch": 2, "auc": None}])) == [
        RECORD,
        RECORD | {"epoch": 2},
    ]
    metrics = {"test": {"accuracy": 0.5, "intervals": {"accuracy": [0, 1], "f1": None}}}
    read = metrics_of(tmp_path, json.dumps(metrics))
    assert read == metrics | {"timings": {}, "environment": {}, "digests": {}}


def test_text_cannot_control_a_terminal(tmp_path: Path) -> None:
    read = metrics_of(tmp_path, '{"environment": {"a\\nb": "\\u001b]0;x\\u0007\\ud800é"}}')
    assert read["environment"] == {"a\\x0ab": "\\x1b]0;x\\x07\\ud800é"}
    assert printable("é 好") == "é 好"
