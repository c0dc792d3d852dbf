"""Tests for glasses_spark.evaluation.metrics."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from sklearn import metrics as sklearn

from glasses_spark.errors import ScoringError
from glasses_spark.evaluation.metrics import (
    Metrics,
    add_predicted_label,
    evaluate,
    evaluate_parts,
    metrics_of,
    metrics_table,
)
from glasses_spark.evaluation.scores import scores_of


def judged(
    labels: Sequence[float],
    probabilities: Sequence[float],
    logits: Sequence[float] | None = None,
    *,
    threshold: float = 0.5,
) -> Metrics:
    return metrics_of(scores_of(labels, probabilities, logits), threshold=threshold)


def frame(
    spark: SparkSession,
    labels: Sequence[float | None],
    probabilities: Sequence[float | None],
    logits: Sequence[float | None] | None = None,
    parts: Sequence[str] | None = None,
) -> DataFrame:
    rows: list[tuple[Any, ...]] = [(y, [p]) for y, p in zip(labels, probabilities, strict=True)]
    schema = "label DOUBLE, prediction ARRAY<DOUBLE>"
    for column, values in (("rawPrediction DOUBLE", logits), ("split STRING", parts)):
        if values is not None:
            rows = [(*row, value) for row, value in zip(rows, values, strict=True)]
            schema += f", {column}"
    return spark.createDataFrame(rows, schema)


def drawn(rows: int, *, decimals: int, positive: float) -> tuple[Any, Any]:
    """Labels, and probabilities that follow them somewhat, with 0 and 1 among them."""
    generator = np.random.default_rng(rows + decimals)
    y = (generator.random(rows) < positive).astype(float)
    p = np.clip(0.3 * y + generator.normal(0.35, 0.3, rows), 0, 1).round(decimals)
    assert {0.0, 1.0} <= set(p)
    return y, p


@pytest.mark.parametrize("threshold", [0.0, 0.4, 0.5, 1.0])
@pytest.mark.parametrize(
    ("rows", "decimals", "positive"),
    [
        pytest.param(3000, 2, 0.5, id="ties"),
        pytest.param(3000, 15, 0.5, id="hardly a tie"),
        pytest.param(2000, 2, 0.02, id="few with glasses"),
        pytest.param(60, 1, 0.7, id="few at all"),
    ],
)
def test_metrics_agree_with_scikit_learn(
    rows: int, decimals: int, positive: float, threshold: float
) -> None:
    y, p = drawn(rows, decimals=decimals, positive=positive)
    found = judged(y, p, threshold=threshold)

    guess, clipped = (p >= threshold).astype(float), np.clip(p, 1e-7, 1 - 1e-7)
    assert [found.tn, found.fp, found.fn, found.tp] == sklearn.confusion_matrix(
        y, guess
    ).ravel().tolist()
    expected = {
        "rows": rows,
        "threshold": threshold,
        "accuracy": sklearn.accuracy_score(y, guess),
        "balanced_accuracy": sklearn.balanced_accuracy_score(y, guess),
        "recall": sklearn.recall_score(y, guess),
        "specificity": sklearn.recall_score(y, guess, pos_label=0),
        "f1": sklearn.f1_score(y, guess),
        "roc_auc": sklearn.roc_auc_score(y, p),
        "pr_auc": sklearn.average_precision_score(y, p),
        "log_loss": sklearn.log_loss(y, clipped),
        "brier_score": sklearn.brier_score_loss(y, p),
    }
    if len(set(guess)) == 2:
        expected["mcc"] = sklearn.matthews_corrcoef(y, guess)
    else:
        assert found.mcc is None  # 0 to scikit-learn, which is a claim
    if guess.any():
        expected["precision"] = sklearn.precision_score(y, guess)
    shown = {name: getattr(found, name) for name in expected}
    assert shown == pytest.approx(expected, abs=1e-12)
    assert found.stable_log_loss == pytest.approx(found.log_loss, rel=1e-9)


def test_a_case_small_enough_to_work_out_by_hand() -> None:
    metrics = judged([1.0, 1.0, 0.0, 0.0], [0.8, 0.4, 0.4, 0.5])

    assert (metrics.tp, metrics.fn, metrics.tn, metrics.fp) == (1, 1, 1, 1)
    assert (metrics.accuracy, metrics.precision, metrics.f1, metrics.mcc) == (0.5, 0.5, 0.5, 0.0)
    # Pairs (with, without): 0.8 beats both; 0.4 ties with 0.4 and loses to 0.5.
    assert metrics.roc_auc == pytest.approx((1 + 1 + 0.5 + 0) / 4)
    # Half of the recall at precision 1; the other half where all four are in.
    assert metrics.pr_auc == pytest.approx((1 + 2 / 4) / 2)
    by_hand = -(math.log(0.8) + math.log(0.4) + math.log(0.6) + math.log(0.5)) / 4
    assert metrics.log_loss == pytest.approx(by_hand)
    assert metrics.brier_score == pytest.approx((0.04 + 0.36 + 0.16 + 0.25) / 4)
    # Bins of 1/15: 0.4 and 0.4 in one (half have glasses), 0.5 and 0.8 alone.
    assert metrics.expected_calibration_error == pytest.approx((2 * 0.1 + 0.5 + 0.2) / 4)


def test_certain_and_wrong_costs_a_finite_loss() -> None:
    metrics = judged([1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0])

    assert metrics.rows == 4
    assert metrics.log_loss == pytest.approx(-math.log(1e-7) / 2, rel=1e-6)
    assert metrics.stable_log_loss == pytest.approx(-math.log(1e-7) / 2, rel=1e-6)
    assert metrics.brier_score == metrics.expected_calibration_error == 0.5


def test_the_stable_log_loss_uses_logits_beyond_what_a_probability_can_tell() -> None:
    # sigmoid(50) is 1.0 and sigmoid(-800) is 0.0 in floating point.
    metrics = judged([0.0, 1.0], [1.0, 0.0], [50.0, -800.0])

    assert metrics.stable_log_loss == pytest.approx((50 + 800) / 2)
    assert metrics.log_loss == pytest.approx(-math.log(1e-7), rel=1e-6)


def test_the_stable_log_loss_is_the_log_loss_where_nothing_is_clipped() -> None:
    logits = [-3.0, -0.5, 0.0, 2.5]
    probabilities = [1 / (1 + math.exp(-z)) for z in logits]

    metrics = judged([0.0, 1.0, 1.0, 1.0], probabilities, logits)

    assert metrics.stable_log_loss == pytest.approx(metrics.log_loss, rel=1e-12)


@pytest.mark.parametrize(
    ("label", "defined"), [(0.0, {"specificity", "precision"}), (1.0, {"recall", "precision"})]
)
def test_one_class_alone_leaves_undefined_what_compares_two(
    label: float, defined: set[str]
) -> None:
    metrics = judged([label, label], [0.2, 0.9])

    assert metrics.accuracy == 0.5
    names = ("balanced_accuracy", "mcc", "roc_auc", "pr_auc", "recall", "specificity", "precision")
    assert {name for name in names if getattr(metrics, name) is not None} == defined
    assert metrics.intervals["roc_auc"] is None
    shown = {line[:18].strip(): line[18:].strip() for line in str(metrics).splitlines()}
    assert shown["roc auc"] == "-"


def test_where_nothing_is_taken_for_glasses_there_is_no_precision() -> None:
    metrics = judged([1.0, 0.0], [0.2, 0.1])

    assert (metrics.precision, metrics.intervals["precision"], metrics.mcc) == (None, None, None)
    assert (metrics.recall, metrics.f1, metrics.specificity) == (0.0, 0.0, 1.0)


def test_one_row_is_enough() -> None:
    metrics = judged([1.0], [0.75])

    assert (metrics.rows, metrics.accuracy, metrics.roc_auc) == (1, 1.0, None)
    assert (metrics.tp, metrics.fp, metrics.tn, metrics.fn) == (1, 0, 0, 0)
    assert metrics.log_loss == pytest.approx(-math.log(0.75))
    assert metrics.stable_log_loss == pytest.approx(-math.log(0.75))
    assert metrics.intervals["log_loss"] is None  # one number has no spread
    assert metrics.intervals["accuracy"] == pytest.approx((0.2065, 1.0), abs=1e-4)


@pytest.mark.parametrize(
    ("labels", "probabilities"),
    [([1.0], [1.0]), ([0.0, 0.0], [0.0, 1.0]), ([1.0, 0.0], [1.0, 0.0])],
)
def test_metrics_are_json_without_a_number_that_is_none(
    labels: list[float], probabilities: list[float]
) -> None:
    found = judged(labels, probabilities).as_dict()

    assert json.loads(json.dumps(found, allow_nan=False)) == found
    names = ["accuracy", "precision", "recall", "specificity", "roc_auc", "log_loss"]
    assert list(found["intervals"]) == names


def test_each_interval_holds_its_metric() -> None:
    metrics = judged(*drawn(500, decimals=2, positive=0.4))

    for name, bounds in metrics.intervals.items():
        assert bounds is not None
        low, high = bounds
        assert low < getattr(metrics, name) < high


def test_the_parts_of_one_frame_are_judged_each_by_its_own_rows(spark: SparkSession) -> None:
    y, p = drawn(300, decimals=2, positive=0.5)
    parts = ["test", "train", "validation"] * 100
    rows = frame(spark, y.tolist(), p.tolist(), parts=parts)

    found = evaluate_parts(rows, threshold=0.4)

    assert list(found) == ["train", "validation", "test"]
    for name, metrics in found.items():
        mine = np.array(parts) == name
        assert metrics == judged(y[mine], p[mine], threshold=0.4)
    together = evaluate(rows, threshold=0.4).as_dict()
    alone = judged(y, p, threshold=0.4).as_dict()
    assert together.pop("intervals").keys() == alone.pop("intervals").keys()
    assert together == pytest.approx(alone, rel=1e-12)


def test_logits_are_taken_from_the_column_that_has_them(spark: SparkSession) -> None:
    metrics = evaluate(frame(spark, [0.0, 1.0], [1.0, 0.0], [50.0, -800.0]))
    assert metrics.stable_log_loss == pytest.approx((50 + 800) / 2)


def test_the_threshold_itself_counts_as_glasses(spark: SparkSession) -> None:
    predictions = frame(spark, [1.0, 0.0], [0.5, 0.4999])

    assert evaluate(predictions, threshold=0.5).accuracy == 1.0
    labels = [
        row.predicted_label for row in add_predicted_label(predictions, threshold=0.5).collect()
    ]
    assert labels == [1.0, 0.0]


def test_a_missing_column_is_named(spark: SparkSession) -> None:
    with pytest.raises(ScoringError, match="found no prediction among label, pixels"):
        evaluate(spark.createDataFrame([(1.0, b"")], "label DOUBLE, pixels BINARY"))


def test_the_table_has_a_column_for_each_part() -> None:
    one = judged(*drawn(1200, decimals=2, positive=0.5))
    lines = metrics_table({"train": one, "test": one}).splitlines()

    assert lines[0].split() == ["train", "test"]
    assert lines[1].split() == ["rows", "1,200", "1,200"]
    assert lines[2].split() == ["accuracy", *[f"{one.accuracy:.4f}"] * 2]
    bounds = one.intervals["accuracy"]
    assert bounds is not None
    assert lines[3].split() == ["95", "%", "interval", *[f"{bounds[0]:.4f}-{bounds[1]:.4f}"] * 2]
    assert {len(line) for line in lines} == {18 + 2 * 15}
