"""Tests for glasses_spark.evaluation.metrics."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from sklearn.metrics import accuracy_score, confusion_matrix, log_loss, roc_auc_score

from glasses_spark.errors import ScoringError
from glasses_spark.evaluation.metrics import (
    Metrics,
    add_predicted_label,
    evaluate,
    metrics_table,
)


def frame(
    spark: SparkSession,
    labels: Sequence[float | None],
    probabilities: Sequence[float | None],
    logits: Sequence[float | None] | None = None,
) -> DataFrame:
    rows: list[tuple[Any, ...]] = [(y, [p]) for y, p in zip(labels, probabilities, strict=True)]
    schema = "label DOUBLE, prediction ARRAY<DOUBLE>"
    if logits is not None:
        rows = [(*row, z) for row, z in zip(rows, logits, strict=True)]
        schema += ", rawPrediction DOUBLE"
    return spark.createDataFrame(rows, schema)


@pytest.mark.slow
def test_metrics_agree_with_scikit_learn_on_many_rows_with_ties(spark: SparkSession) -> None:
    generator = np.random.default_rng(3)
    y = generator.integers(0, 2, 3000).astype(float)
    # Two decimals: 101 distinct scores over 3,000 rows, 0.0 and 1.0 among them.
    p = np.clip(0.3 * y + generator.normal(0.35, 0.3, 3000), 0, 1).round(2)
    assert {0.0, 1.0} <= set(p)

    metrics = evaluate(frame(spark, y.tolist(), p.tolist()), threshold=0.4)

    expected = confusion_matrix(y, p >= 0.4).ravel()
    assert [metrics.tn, metrics.fp, metrics.fn, metrics.tp] == expected.tolist()
    assert metrics.rows == 3000
    assert metrics.accuracy == pytest.approx(accuracy_score(y, p >= 0.4), abs=1e-12)
    clipped = np.clip(p, 1e-7, 1 - 1e-7)
    assert metrics.log_loss == pytest.approx(log_loss(y, clipped), rel=1e-12)
    assert metrics.stable_log_loss == pytest.approx(log_loss(y, clipped), rel=1e-9)
    assert metrics.roc_auc == pytest.approx(roc_auc_score(y, p), abs=1e-12)


@pytest.mark.slow
def test_area_under_the_curve_is_exact_beyond_a_thousand_distinct_scores(
    spark: SparkSession,
) -> None:
    generator = np.random.default_rng(5)
    y = generator.integers(0, 2, 4000).astype(float)
    p = np.clip(0.1 * y + generator.random(4000) * 0.9, 0, 1)

    metrics = evaluate(frame(spark, y.tolist(), p.tolist()))

    assert metrics.roc_auc == pytest.approx(roc_auc_score(y, p), abs=1e-12)


def test_a_case_small_enough_to_work_out_by_hand(spark: SparkSession) -> None:
    metrics = evaluate(frame(spark, [1.0, 1.0, 0.0, 0.0], [0.8, 0.4, 0.4, 0.5]))

    assert (metrics.tp, metrics.fn, metrics.tn, metrics.fp) == (1, 1, 1, 1)
    assert metrics.accuracy == 0.5
    # Pairs (with, without): 0.8 beats both; 0.4 ties with 0.4 and loses to 0.5.
    assert metrics.roc_auc == pytest.approx((1 + 1 + 0.5 + 0) / 4)
    by_hand = -(math.log(0.8) + math.log(0.4) + math.log(0.6) + math.log(0.5)) / 4
    assert metrics.log_loss == pytest.approx(by_hand)


def test_the_threshold_itself_counts_as_glasses(spark: SparkSession) -> None:
    predictions = frame(spark, [1.0, 0.0], [0.5, 0.4999])

    assert evaluate(predictions, threshold=0.5).accuracy == 1.0
    labels = [
        row.predicted_label for row in add_predicted_label(predictions, threshold=0.5).collect()
    ]
    assert labels == [1.0, 0.0]


def test_certain_and_wrong_costs_a_finite_loss(spark: SparkSession) -> None:
    metrics = evaluate(frame(spark, [1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 1.0, 0.0]))

    assert metrics.rows == 4
    assert metrics.log_loss == pytest.approx(-math.log(1e-7) / 2, rel=1e-6)
    assert metrics.stable_log_loss == pytest.approx(-math.log(1e-7) / 2, rel=1e-6)


def test_the_stable_log_loss_uses_logits_beyond_what_a_probability_can_tell(
    spark: SparkSession,
) -> None:
    # sigmoid(50) is 1.0 and sigmoid(-800) is 0.0 in floating point.
    metrics = evaluate(frame(spark, [0.0, 1.0], [1.0, 0.0], [50.0, -800.0]))

    assert metrics.stable_log_loss == pytest.approx((50 + 800) / 2)
    assert metrics.log_loss == pytest.approx(-math.log(1e-7), rel=1e-6)


def test_the_stable_log_loss_is_the_log_loss_where_nothing_is_clipped(
    spark: SparkSession,
) -> None:
    logits = [-3.0, -0.5, 0.0, 2.5]
    probabilities = [1 / (1 + math.exp(-z)) for z in logits]

    metrics = evaluate(frame(spark, [0.0, 1.0, 1.0, 1.0], probabilities, logits))

    assert metrics.stable_log_loss == pytest.approx(metrics.log_loss, rel=1e-12)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_alone_has_no_area_under_the_curve(spark: SparkSession, label: float) -> None:
    metrics = evaluate(frame(spark, [label, label], [0.2, 0.9]))

    assert metrics.roc_auc is None
    assert metrics.accuracy == 0.5
    assert json.loads(json.dumps(metrics.as_dict()))["roc_auc"] is None
    assert "roc auc                    -" in str(metrics)


def test_one_row_is_enough(spark: SparkSession) -> None:
    metrics = evaluate(frame(spark, [1.0], [0.75]))

    assert (metrics.rows, metrics.accuracy, metrics.roc_auc) == (1, 1.0, None)
    assert (metrics.tp, metrics.fp, metrics.tn, metrics.fn) == (1, 0, 0, 0)
    assert metrics.log_loss == pytest.approx(-math.log(0.75))
    assert metrics.stable_log_loss == pytest.approx(-math.log(0.75))


def test_no_row_at_all_is_an_error(spark: SparkSession) -> None:
    with pytest.raises(ScoringError, match="expected at least one prediction, found none"):
        evaluate(frame(spark, [], []))


@pytest.mark.parametrize(
    ("labels", "probabilities", "logits", "message"),
    [
        ([1.0, 0.0, 0.0], [None, float("nan"), 0.5], None, "all probabilities .* 2 of 3"),
        ([1.0, 0.0], [1.5, 0.5], None, "all probabilities between 0 and 1, found 1 of 2"),
        ([None, 2.0, float("nan"), 1.0], [0.5] * 4, None, "all labels 0.0 or 1.0, found 3 of 4"),
        ([1.0, 0.0], [0.5, 0.5], [None, 0.0], "all logits finite, found 1 of 2"),
        ([1.0, 0.0], [0.5, 0.5], [float("inf"), 0.0], "all logits finite, found 1 of 2"),
    ],
)
def test_an_unusable_row_is_an_error_that_counts(
    spark: SparkSession,
    labels: list[float | None],
    probabilities: list[float | None],
    logits: list[float | None] | None,
    message: str,
) -> None:
    with pytest.raises(ScoringError, match=message):
        evaluate(frame(spark, labels, probabilities, logits))


def test_an_empty_prediction_is_an_error_that_counts(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(1.0, [])], "label DOUBLE, prediction ARRAY<DOUBLE>")
    with pytest.raises(ScoringError, match="found 1 of 1 null, NaN or outside"):
        evaluate(rows)


def test_a_missing_column_is_named(spark: SparkSession) -> None:
    with pytest.raises(ScoringError, match="found no prediction among label, pixels"):
        evaluate(spark.createDataFrame([(1.0, b"")], "label DOUBLE, pixels BINARY"))


def test_nothing_stays_cached_afterwards(spark: SparkSession) -> None:
    def cached() -> int:
        return int(spark.sparkContext._jsc.getPersistentRDDs().size())

    before = cached()
    evaluate(frame(spark, [1.0, 0.0], [0.9, 0.2]))
    assert cached() == before


def test_the_table_has_a_column_for_each_part() -> None:
    one = Metrics(1200, 0.5, 0.99, 0.1, 0.11, 0.999, 600, 5, 590, 5)
    lines = metrics_table({"train": one, "test": one}).splitlines()

    assert lines[0].split() == ["train", "test"]
    assert lines[1].split() == ["rows", "1,200", "1,200"]
    assert lines[2].split() == ["accuracy", "0.9900", "0.9900"]
