"""Tests for glasses_spark.evaluation.compare."""

from __future__ import annotations

import json
from dataclasses import replace

from glasses_spark.evaluation.compare import Line, compare
from tests.evaluation.compared_runs import SAME_ROWS, make_rows, make_run


def test_the_best_value_of_each_metric_is_marked() -> None:
    test = [
        {"rows": 4, "accuracy": 0.75, "log_loss": 0.5, "roc_auc": 0.8, "tp": 1},
        {"rows": 4, "accuracy": 0.5, "log_loss": 0.25, "roc_auc": 0.8, "tp": 2},
        {"rows": 4, "accuracy": 0.75, "log_loss": 0.75, "roc_auc": None, "tp": 3},
    ]
    runs = [
        make_run(name, metrics={"test": table}) for name, table in zip("abc", test, strict=True)
    ]

    lines = {line.name: line for line in compare(runs).metrics["test"]}

    assert lines["accuracy"].best == (0, 2)
    assert lines["log_loss"].best == (1,)
    assert lines["roc_auc"] == Line("roc_auc", (0.8, 0.8, None))  # a tie
    assert lines["rows"].best == lines["tp"].best == ()  # neither direction is better


def test_the_test_set_comes_first_and_a_missing_metric_is_none() -> None:
    old = make_run("old")
    new = make_run("new", metrics={"train": {}, "test": {"accuracy": 0.5, "mcc": 0.1}})

    metrics = compare([old, new]).metrics

    assert list(metrics) == ["test", "train"]
    assert metrics["test"][-1] == Line("mcc", (None, 0.1))


def test_only_settings_and_versions_that_differ_are_listed() -> None:
    first = make_run("first")
    second = make_run(
        "second",
        config={"training.epochs": 9, "training.mode": "synchronous", "run.seed": 1},
        environment={"cpus": 4, "packages.keras": "3.15.1"},
    )

    comparison = compare([first, second])

    assert comparison.config == (
        Line("training.epochs", (2, 9)),
        Line("run.seed", (None, 1)),  # run.dir always differs and is not listed
    )
    assert comparison.environment == (Line("cpus", (2, 4)),)
    assert comparison.timings == (Line("fit_s", (12.0, 12.0)),)


def test_training_and_validation_curves_are_adjacent() -> None:
    short = make_run("short", history=[{"epoch": 1, "loss": 0.5, "rows": 8, "workers": []}])

    curves = compare([make_run("long"), short]).curves

    assert [curve.name for curve in curves] == ["loss", "val_loss", "accuracy"]
    assert curves[0].points == (((1, 0.7), (2, 0.3)), ((1, 0.5),))
    assert curves[1].points[1] == ()


def test_mcnemars_test_uses_the_rows_on_which_one_run_is_correct() -> None:
    first = make_rows({number: number > 6 for number in range(1, 11)})  # wrong on 1 to 6
    second = make_rows({number: number < 10 for number in range(1, 11)})  # wrong on 10

    comparison = compare([make_run("first", first), make_run("second", second)])

    assert (comparison.common_rows, comparison.notes) == (10, ())
    (pair,) = comparison.pairs
    assert (pair.only_first_right, pair.only_other_right) == (1, 6)
    assert pair.test.p_value == pair.adjusted_p_value == 0.125  # 2 * (1 + 7) / 128
    assert not pair.differs


def test_several_runs_are_tested_against_the_first_with_holms_correction() -> None:
    all_correct = make_rows(dict.fromkeys(range(1, 11), True))
    runs = [
        make_run("first", all_correct),
        make_run("bad", make_rows({number: number > 8 for number in range(1, 11)})),
        make_run("worse", make_rows({number: number > 9 for number in range(1, 11)})),
        make_run("same", all_correct),
    ]

    pairs = compare(runs).pairs

    assert [pair.test.p_value for pair in pairs] == [2 / 2**8, 2 / 2**9, 1.0]
    assert [pair.adjusted_p_value for pair in pairs] == [4 / 2**8, 6 / 2**9, 1.0]
    assert [pair.differs for pair in pairs] == [True, True, False]


def test_only_common_test_rows_are_tested_and_the_notes_say_so() -> None:
    first = make_rows({1: True, 2: True, 3: False}, train=[4, 5])
    second = make_rows({2: False, 3: False, 4: True}, train=[1, 5])

    comparison = compare([make_run("first", first), make_run("second", second)])

    assert comparison.common_rows == 2
    assert comparison.pairs[0].only_first_right == 1
    assert comparison.notes == (
        "The test sets of the runs differ (first: 3, second: 3; 2 images in common), so their "
        "metrics are not directly comparable.",
        "first was trained on 1 of the 3 test images of second; its metrics on these images are "
        "too optimistic.",
        "second was trained on 1 of the 3 test images of first; its metrics on these images are "
        "too optimistic.",
    )


def test_runs_without_common_test_rows_are_not_tested() -> None:
    first, second = (make_run(name, make_rows({id_: True})) for name, id_ in (("a", 1), ("b", 2)))

    comparison = compare([first, second])

    assert (comparison.common_rows, comparison.pairs) == (0, ())
    assert "no image in common" in comparison.notes[0]
    assert "McNemar's test needs common test images" in comparison.notes[1]


def test_rows_with_different_labels_in_the_runs_are_excluded() -> None:
    relabelled = replace(SAME_ROWS, with_glasses=SAME_ROWS.with_glasses ^ (SAME_ROWS.ids == 2))

    comparison = compare([make_run("first"), make_run("second", relabelled)])

    assert comparison.common_rows == 3
    assert comparison.notes == (
        "1 of the common test images have different labels in the runs and are excluded from the "
        "test.",
    )


def test_a_note_says_that_images_of_other_data_are_matched_by_id() -> None:
    runs = [make_run(name, config={"data.images": name}) for name in ("a", "b")]
    (note,) = compare(runs).notes
    assert note.startswith("The runs differ in data.images; images with the same id are assumed")


def test_a_comparison_is_valid_json() -> None:
    comparison = compare([make_run("first"), make_run("second")])
    parsed = json.loads(json.dumps(comparison.as_dict(), allow_nan=False))
    assert parsed["names"] == ["first", "second"]
    assert parsed["pairs"][0]["test"]["p_value"] == 1.0
    assert parsed["curves"][0]["points"][0] == [[1, 0.7], [2, 0.3]]
