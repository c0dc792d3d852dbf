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
    metrics_of,
    metrics_table,
)
from glasses_spark.evaluation.scores import scores_of


def metrics_from(
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
) -> DataFrame:
    rows: list[tuple[Any, ...]] = [(y, [p]) for y, p in zip(labels, probabilities, strict=True)]
    schema = "label DOUBLE, prediction ARRAY<DOUBLE>"
    if logits is not None:
        rows = [(*row, logit) for row, logit in zip(rows, logits, strict=True)]
        schema += ", rawPrediction DOUBLE"
    return spark.createDataFrame(rows, schema)


def drawn(rows: int, *, decimals: int, positive: float) -> tuple[Any, Any]:
    """Labels, and probabilities correlated with them, 0 and 1 among them."""
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
        pytest.param(3000, 15, 0.5, id="almost no ties"),
        pytest.param(2000, 2, 0.02, id="few positives"),
        pytest.param(60, 1, 0.7, id="few images"),
    ],
)
def test_metrics_agree_with_scikit_learn(
    rows: int, decimals: int, positive: float, threshold: float
) -> None:
    y, p = drawn(rows, decimals=decimals, positive=positive)
    metrics = metrics_from(y, p, threshold=threshold)

    guess, clipped = (p >= threshold).astype(float), np.clip(p, 1e-7, 1 - 1e-7)
    assert [metrics.tn, metrics.fp, metrics.fn, metrics.tp] == sklearn.confusion_matrix(
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
        assert metrics.mcc is None  # scikit-learn returns 0
    if guess.any():
        expected["precision"] = sklearn.precision_score(y, guess)
    shown = {name: getattr(metrics, name) for name in expected}
    assert shown == pytest.approx(expected, abs=1e-12)
    assert metrics.stable_log_loss == pytest.approx(metrics.log_loss, rel=1e-9)


def test_a_case_small_enough_to_work_out_by_hand() -> None:
    metrics = metrics_from([1.0, 1.0, 0.0, 0.0], [0.8, 0.4, 0.4, 0.5])

    assert (metrics.tp, metrics.fn, metrics.tn, metrics.fp) == (1, 1, 1, 1)
    assert (metrics.accuracy, metrics.precision, metrics.f1, metrics.mcc) == (0.5, 0.5, 0.5, 0.0)
    # Pairs (positive, negative): 0.8 is above both; 0.4 ties with 0.4 and is below 0.5.
    assert metrics.roc_auc == pytest.approx((1 + 1 + 0.5 + 0) / 4)
    # Half of the recall at precision 1; the other half with all four predicted positive.
    assert metrics.pr_auc == pytest.approx((1 + 2 / 4) / 2)
    by_hand = -(math.log(0.8) + math.log(0.4) + math.log(0.6) + math.log(0.5)) / 4
    assert metrics.log_loss == pytest.approx(by_hand)
    assert metrics.brier_score == pytest.approx((0.04 + 0.36 + 0.16 + 0.25) / 4)
    # Bins of 1/15: 0.4 and 0.4 in one (half are positive), 0.5 and 0.8 alone.
    assert metrics.expected_calibration_error == pytest.approx((2 * 0.1 + 0.5 + 0.2) / 4)


def test_a_confident_wrong_prediction_has_a_finite_loss() -> None:
    metrics = metrics_from([1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0])

    assert metrics.rows == 4
    assert metrics.log_loss == pytest.approx(-math.log(1e-7) / 2, rel=1e-6)
    assert metrics.stable_log_loss == pytest.approx(-math.log(1e-7) / 2, rel=1e-6)
    assert metrics.brier_score == metrics.expected_calibration_error == 0.5


def test_the_stable_log_loss_uses_the_logits_of_saturated_probabilities() -> None:
    # sigmoid(50) is 1.0 and sigmoid(-800) is 0.0 in floating point.
    metrics = metrics_from([0.0, 1.0], [1.0, 0.0], [50.0, -800.0])

    assert metrics.stable_log_loss == pytest.approx((50 + 800) / 2)
    assert metrics.log_loss == pytest.approx(-math.log(1e-7), rel=1e-6)


def test_the_stable_log_loss_equals_the_log_loss_without_clipping() -> None:
    logits = [-3.0, -0.5, 0.0, 2.5]
    probabilities = [1 / (1 + math.exp(-z)) for z in logits]

    metrics = metrics_from([0.0, 1.0, 1.0, 1.0], probabilities, logits)

    assert metrics.stable_log_loss == pytest.approx(metrics.log_loss, rel=1e-12)


@pytest.mark.parametrize(
    ("label", "defined"), [(0.0, {"specificity", "precision"}), (1.0, {"recall", "precision"})]
)
def test_metrics_that_compare_two_classes_are_undefined_for_one(
    label: float, defined: set[str]
) -> None:
    metrics = metrics_from([label, label], [0.2, 0.9])

    assert metrics.accuracy == 0.5
    names = ("balanced_accuracy", "mcc", "roc_auc", "pr_auc", "recall", "specificity", "precision")
    assert {name for name in names if getattr(metrics, name) is not None} == defined
    assert metrics.intervals["roc_auc"] is None
    shown = {line[:18].strip(): line[18:].strip() for line in str(metrics).splitlines()}
    assert shown["roc auc"] == "-"


def test_the_precision_is_undefined_without_predicted_positives() -> None:
    metrics = metrics_from([1.0, 0.0], [0.2, 0.1])

    assert (metrics.precision, metrics.intervals["precision"], metrics.mcc) == (None, None, None)
    assert (metrics.recall, metrics.f1, metrics.specificity) == (0.0, 0.0, 1.0)


def test_one_row_has_metrics() -> None:
    metrics = metrics_from([1.0], [0.75])

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
def test_metrics_are_valid_json_without_nan(
    labels: list[float], probabilities: list[float]
) -> None:
    metrics = metrics_from(labels, probabilities).as_dict()

    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics
    names = ["accuracy", "precision", "recall", "specificity", "roc_auc", "log_loss"]
    assert list(metrics["intervals"]) == names


def test_each_interval_contains_its_metric() -> None:
    metrics = metrics_from(*drawn(500, decimals=2, positive=0.4))

    for name, bounds in metrics.intervals.items():
        assert bounds is not None
        low, high = bounds
        assert low < getattr(metrics, name) < high


@pytest.mark.slow
def test_a_frame_is_evaluated_with_the_given_threshold(spark: SparkSession) -> None:
    rows = frame(spark, [1.0, 1.0, 0.0, 0.0], [0.8, 0.3, 0.45, 0.1])

    metrics = evaluate(rows, threshold=0.4)

    assert (metrics.tp, metrics.fn, metrics.tn, metrics.fp) == (1, 1, 1, 1)
    assert metrics.threshold == 0.4
    # Pairs (positive, negative): 0.8 is above both; 0.3 is above 0.1 alone.
    assert metrics.roc_auc == pytest.approx(3 / 4)


def test_logits_are_read_from_their_column(spark: SparkSession) -> None:
    metrics = evaluate(frame(spark, [0.0, 1.0], [1.0, 0.0], [50.0, -800.0]))
    assert metrics.stable_log_loss == pytest.approx((50 + 800) / 2)


def test_a_probability_equal_to_the_threshold_is_predicted_positive(spark: SparkSession) -> None:
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
    metrics = metrics_from(*drawn(1200, decimals=2, positive=0.5))
    lines = metrics_table({"train": metrics, "test": metrics}).splitlines()

    assert lines[0].split() == ["train", "test"]
    assert lines[1].split() == ["rows", "1,200", "1,200"]
    assert lines[2].split() == ["accuracy", *[f"{metrics.accuracy:.4f}"] * 2]
    bounds = metrics.intervals["accuracy"]
    assert bounds is not None
    assert lines[3].split() == ["95", "%", "interval", *[f"{bounds[0]:.4f}-{bounds[1]:.4f}"] * 2]
    assert {len(line) for line in lines} == {18 + 2 * 15}
