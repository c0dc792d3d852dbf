"""Tests for glasses_spark.evaluation.compare and compare_text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO, TextIOWrapper
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from glasses_spark.evaluation.compare import Comparison, Line, Rows, Run, compare
from glasses_spark.reports.compare_text import print_comparison


def rows(test: Mapping[int, bool], train: Sequence[int] = ()) -> Rows:
    """Rows by id: test rows with whether they were predicted right, and rows trained on."""
    ids = sorted([*test, *train])
    return Rows(
        ids=np.array(ids, dtype=np.int64),
        with_glasses=np.array([number % 2 == 1 for number in ids]),
        right=np.array([test.get(number, True) for number in ids]),
        in_test=np.array([number in test for number in ids]),
    )


def make_run(name: str, its_rows: Rows, **changes: Any) -> Run:
    run = Run(
        name=name,
        folder=f"runs/{name}",
        config={"training.epochs": 2, "training.mode": "synchronous", "run.dir": f"runs/{name}"},
        metrics={"train": {"accuracy": 0.9}, "test": {"rows": 4, "accuracy": 0.75}},
        timings={"fit_s": 12.0},
        environment={"cpus": 2, "packages.keras": "3.15.1"},
        history=[
            {"epoch": 1, "loss": 0.7, "accuracy": 0.5, "val_loss": 0.6, "rows": 8, "workers": []},
            {"epoch": 2, "loss": 0.3, "accuracy": 0.9, "val_loss": 0.4, "rows": 8, "workers": []},
        ],
        rows=its_rows,
    )
    return replace(run, **changes)


SAME = rows({1: True, 2: True, 3: False, 4: True}, train=[5, 6])


def test_the_best_of_each_metric_is_marked_whichever_way_is_better() -> None:
    test = [
        {"rows": 4, "accuracy": 0.75, "log_loss": 0.5, "roc_auc": 0.8, "tp": 1},
        {"rows": 4, "accuracy": 0.5, "log_loss": 0.25, "roc_auc": 0.8, "tp": 2},
        {"rows": 4, "accuracy": 0.75, "log_loss": 0.75, "roc_auc": None, "tp": 3},
    ]
    runs = [
        make_run(name, SAME, metrics={"test": table})
        for name, table in zip("abc", test, strict=True)
    ]

    lines = {line.name: line for line in compare(runs).metrics["test"]}

    assert lines["accuracy"].best == (0, 2)
    assert lines["log_loss"].best == (1,)
    assert lines["roc_auc"] == Line("roc_auc", (0.8, 0.8, None))  # no one is ahead
    assert lines["rows"].best == lines["tp"].best == ()  # neither is better as it grows


def test_the_test_part_comes_first_and_a_metric_that_one_run_lacks_is_left_empty() -> None:
    old = make_run("old", SAME)
    new = make_run("new", SAME, metrics={"train": {}, "test": {"accuracy": 0.5, "mcc": 0.1}})

    metrics = compare([old, new]).metrics

    assert list(metrics) == ["test", "train"]
    assert metrics["test"][-1] == Line("mcc", (None, 0.1))


def test_only_settings_and_versions_that_differ_are_listed() -> None:
    one = make_run("one", SAME)
    other = make_run(
        "other",
        SAME,
        config={"training.epochs": 9, "training.mode": "synchronous", "run.seed": 1},
        environment={"cpus": 4, "packages.keras": "3.15.1"},
    )

    found = compare([one, other])

    assert found.config == (
        Line("training.epochs", (2, 9)),
        Line("run.seed", (None, 1)),  # run.dir is a run's own, and no difference
    )
    assert found.environment == (Line("cpus", (2, 4)),)
    assert found.timings == (Line("fit_s", (12.0, 12.0)),)


def test_curves_come_in_pairs_of_training_and_validation() -> None:
    short = make_run("short", SAME, history=[{"epoch": 1, "loss": 0.5, "rows": 8, "workers": []}])

    curves = compare([make_run("long", SAME), short]).curves

    assert [curve.name for curve in curves] == ["loss", "val_loss", "accuracy"]
    assert curves[0].points == (((1, 0.7), (2, 0.3)), ((1, 0.5),))
    assert curves[1].points[1] == ()


def test_the_test_counts_rows_on_which_one_is_right_and_the_other_wrong() -> None:
    first = rows({number: number > 6 for number in range(1, 11)})  # wrong on 1 to 6
    second = rows({number: number < 10 for number in range(1, 11)})  # wrong on 10

    found = compare([make_run("first", first), make_run("second", second)])

    assert (found.common_rows, found.notes) == (10, ())
    (pair,) = found.pairs
    assert (pair.only_first_right, pair.only_other_right) == (1, 6)
    assert pair.test.p_value == pair.adjusted_p_value == 0.125  # 2 * (1 + 7) / 128
    assert not pair.differs


def test_several_runs_are_tested_against_the_first_with_holms_correction() -> None:
    all_right = rows(dict.fromkeys(range(1, 11), True))
    runs = [
        make_run("first", all_right),
        make_run("bad", rows({number: number > 8 for number in range(1, 11)})),
        make_run("worse", rows({number: number > 9 for number in range(1, 11)})),
        make_run("same", all_right),
    ]

    pairs = compare(runs).pairs

    assert [pair.test.p_value for pair in pairs] == [2 / 2**8, 2 / 2**9, 1.0]
    assert [pair.adjusted_p_value for pair in pairs] == [4 / 2**8, 6 / 2**9, 1.0]
    assert [pair.differs for pair in pairs] == [True, True, False]


def test_only_rows_that_all_runs_tested_on_are_tested_and_the_rest_is_told() -> None:
    one = rows({1: True, 2: True, 3: False}, train=[4, 5])
    other = rows({2: False, 3: False, 4: True}, train=[1, 5])

    found = compare([make_run("one", one), make_run("other", other)])

    assert found.common_rows == 2
    assert found.pairs[0].only_first_right == 1
    assert found.notes == (
        "The runs were not tested on the same rows (one on 3, other on 3; 2 are common to all): "
        "their metrics are not of the same images.",
        "one was trained on 1 of the 3 test rows of other: do not judge it by these.",
        "other was trained on 1 of the 3 test rows of one: do not judge it by these.",
    )


def test_runs_without_a_common_test_row_are_not_tested_and_told_so() -> None:
    found = compare([make_run("one", rows({1: True})), make_run("other", rows({2: True}))])

    assert (found.common_rows, found.pairs) == (0, ())
    assert "none is common to all" in found.notes[0]
    assert "Without a common test row there is nothing to test" in found.notes[1]


def test_rows_whose_label_was_changed_between_the_runs_are_left_out() -> None:
    relabelled = replace(SAME, with_glasses=SAME.with_glasses ^ (SAME.ids == 2))

    found = compare([make_run("one", SAME), make_run("other", relabelled)])

    assert found.common_rows == 3
    assert found.notes == (
        "1 of the common test rows have another label in one run than in another, and are left "
        "out of the test.",
    )


def test_runs_over_other_images_are_told_to_be_matched_by_number() -> None:
    here, there = (make_run(name, SAME, config={"data.images": name}) for name in ("a", "b"))
    (note,) = compare([here, there]).notes
    assert note.startswith("The runs differ in data.images; rows are taken for the same image")


def test_a_comparison_is_plain_json() -> None:
    found = compare([make_run("one", SAME), make_run("other", SAME)])
    back = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert back["names"] == ["one", "other"]
    assert back["pairs"][0]["test"]["p_value"] == 1.0
    assert back["curves"][0]["points"][0] == [[1, 0.7], [2, 0.3]]


def printed(comparison: Comparison, *, width: int = 80, encoding: str = "utf-8") -> str:
    screen = TextIOWrapper(BytesIO(), encoding=encoding)
    print_comparison(comparison, Console(file=screen, width=width))
    screen.seek(0)
    return screen.read()


def test_the_text_shows_metrics_with_the_best_and_says_what_the_test_means() -> None:
    better = rows(dict.fromkeys(range(1, 11), True))
    worse = rows({number: number > 8 for number in range(1, 11)})
    runs = [
        make_run("good", better, metrics={"test": {"accuracy": 1.0}}),
        make_run("[bad]", worse, metrics={"test": {"accuracy": 0.2}}),
    ]

    lines = [line.rstrip() for line in printed(compare(runs)).splitlines()]

    at = lines.index("Metrics, test")
    assert lines[at + 1].split() == ["good", "[bad]"]  # brackets in a name are no markup
    assert lines[at + 2].split() == ["accuracy", "1.0000", "*", "0.2000"]
    assert "good is right more often than [bad], by more than chance explains." in lines
    assert "McNemar's test on the 10 test rows that all runs have, against good" in lines


def test_curves_of_one_figure_share_a_scale() -> None:
    low = [{"epoch": epoch, "loss": loss} for epoch, loss in ((1, 0.5), (2, 0.0))]
    high = [{"epoch": epoch, "loss": loss} for epoch, loss in ((1, 1.0), (2, 0.5))]
    runs = [make_run("low", SAME, history=low), make_run("high", SAME, history=high)]

    text = printed(compare(runs))

    assert next(line for line in text.splitlines() if "▅▁" in line).startswith("loss")
    assert "█▅" in text


@pytest.mark.parametrize("width", [40, 80, 100])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    runs = [make_run(name, SAME, config={"data.images": "/long" * 40 + name}) for name in "abc"]
    assert max(map(len, printed(compare(runs), width=width).splitlines())) <= width


def test_a_terminal_without_unicode_gets_numbers_without_signs() -> None:
    text = printed(compare([make_run("a", SAME), make_run("b", SAME)]), encoding="ascii")
    text.encode("ascii")
    assert "0.7000   0.3000" in text
