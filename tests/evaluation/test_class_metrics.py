"""Tests for glasses_spark.evaluation.class_metrics, and `evaluate` of several classes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sklearn import metrics as sklearn

from glasses_spark.errors import ScoringError
from glasses_spark.evaluation.class_metrics import ClassMetrics, f1_means
from glasses_spark.evaluation.metrics import add_predicted_label, evaluate
from glasses_spark.scoring.prediction_kind import PredictionKind

# Together a quarter of a minute of small Spark jobs.
pytestmark = pytest.mark.slow

LABELS = [0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 2.0]
PROBABILITIES = [
    [0.7, 0.2, 0.1],
    [0.3, 0.4, 0.3],
    [0.2, 0.5, 0.3],
    [0.6, 0.3, 0.1],
    [0.1, 0.1, 0.8],
    [0.2, 0.4, 0.4],  # Class 1 is the first of the most probable ones.
    [0.0, 1.0, 0.0],
]


def frame(
    spark: SparkSession,
    labels: Sequence[float | None],
    outputs: Sequence[Sequence[float | None] | None],
    kind: str = "",
) -> DataFrame:
    rows = spark.createDataFrame(
        list(zip(labels, outputs, strict=True)), "label DOUBLE, prediction ARRAY<DOUBLE>"
    )
    if not kind:
        return rows
    metadata = PredictionKind(kind, len(outputs[0] or ())).metadata()
    return rows.withColumn("prediction", F.col("prediction").alias("prediction", metadata=metadata))


def expected_metrics(labels: Any, probabilities: Any) -> dict[str, float]:
    y, p = np.array(labels), np.array(probabilities)
    clipped = np.clip(p, 1e-7, 1 - 1e-7)[np.arange(len(y)), y.astype(int)]
    guess = p.argmax(axis=1)
    return {
        "rows": len(y),
        "classes": p.shape[1],
        "accuracy": sklearn.accuracy_score(y, guess),
        "log_loss": float(-np.log(clipped).mean()),
        "macro_f1": sklearn.f1_score(y, guess, average="macro"),
        "weighted_f1": sklearn.f1_score(y, guess, average="weighted"),
        "roc_auc": sklearn.roc_auc_score(y, p, multi_class="ovr", average="macro"),
    }


def test_the_metrics_of_fixed_numbers_agree_with_scikit_learn(spark: SparkSession) -> None:
    metrics = evaluate(frame(spark, LABELS, PROBABILITIES))

    assert isinstance(metrics, ClassMetrics)
    assert metrics.as_dict() == pytest.approx(expected_metrics(LABELS, PROBABILITIES), abs=1e-12)
    # By hand: rows 0, 2 and 4 are right.
    assert metrics.accuracy == pytest.approx(3 / 7)
    assert json.loads(json.dumps(metrics.as_dict())) == metrics.as_dict()
    assert [line.split() for line in str(metrics).splitlines()][2] == ["accuracy", "0.4286"]


def test_many_drawn_rows_agree_with_scikit_learn(spark: SparkSession) -> None:
    generator = np.random.default_rng(3)
    y = generator.integers(0, 5, 1000)
    z = generator.normal(size=(1000, 5)).round(1) + np.eye(5)[y]
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    expected = expected_metrics(y.astype(float), p)
    # scikit-learn's own loss agrees where nothing is clipped.
    assert expected["log_loss"] == pytest.approx(sklearn.log_loss(y, p), abs=1e-12)

    of_probabilities = evaluate(frame(spark, y.astype(float).tolist(), p.tolist()))
    of_logits = evaluate(frame(spark, y.astype(float).tolist(), z.tolist(), "logits"))

    assert of_probabilities.as_dict() == pytest.approx(expected, abs=1e-9)
    # Equal logits of two rows need not give equal probabilities, to the last bit.
    assert of_logits.as_dict() == pytest.approx(expected, abs=1e-6)


def test_large_logits_do_not_overflow(spark: SparkSession) -> None:
    rows = frame(spark, [0.0, 1.0, 2.0], [[900.0, 0.0, -900.0]] * 3, "logits")
    metrics = evaluate(rows)
    assert metrics.accuracy == pytest.approx(1 / 3)
    assert metrics.log_loss == pytest.approx(-2 * np.log(1e-7) / 3, rel=1e-6)


def test_an_area_without_rows_of_every_class_is_undefined(spark: SparkSession) -> None:
    metrics = evaluate(frame(spark, LABELS[:4], PROBABILITIES[:4]))
    assert isinstance(metrics, ClassMetrics)
    assert metrics.roc_auc is None
    assert metrics.macro_f1 == pytest.approx(
        sklearn.f1_score([0, 0, 1, 1], [0, 1, 1, 0], average="macro")
    )


def test_classes_that_never_occur_do_not_count_in_the_mean_f1() -> None:
    counts = np.zeros((4, 4), np.int64)
    counts[0, 0], counts[1, 0], counts[1, 1] = 2, 1, 3
    # Classes 0 and 1: 4 / 5 and 6 / 7, with 2 and 4 rows.
    assert f1_means(counts) == pytest.approx(((4 / 5 + 6 / 7) / 2, (2 * 4 / 5 + 4 * 6 / 7) / 6))


@pytest.mark.parametrize(
    ("label", "outputs", "message"),
    [
        (5.0, [0.2, 0.2, 0.6], r"whole numbers from 0 to 2, for 3 outputs, found 1 of 2 .* 5\.0"),
        (-1.0, [0.2, 0.2, 0.6], r"found 1 of 2 rows with others, such as -1\.0"),
        (0.5, [0.2, 0.2, 0.6], r"found 1 of 2 rows with others, such as 0\.5"),
        (float("nan"), [0.2, 0.2, 0.6], "labels whole numbers .* such as NaN"),
        (None, [0.2, 0.2, 0.6], "labels whole numbers .* such as null"),
        (1.0, [0.5, 0.5], "predictions arrays of 3 numbers, found 1 of 2 rows .* such as 2"),
        (1.0, None, "predictions arrays of 3 numbers, found 1 of 2 rows"),
        (1.0, [0.2, float("nan"), 0.6], "probabilities that sum to 1, .* NaN"),
        (1.0, [0.2, None, 0.8], "probabilities that sum to 1"),
        (1.0, [2.5, -1.0, -0.5], r"probabilities that sum to 1, .* \[2\.5, -1\.0, -0\.5\]"),
        (1.0, [0.9, 0.8, 0.7], "probabilities that sum to 1"),
    ],
)
def test_a_row_that_does_not_fit_is_an_error_that_shows_it(
    spark: SparkSession, label: float | None, outputs: list[float | None] | None, message: str
) -> None:
    rows = frame(spark, [0.0, label], [[0.1, 0.1, 0.8], outputs])
    with pytest.raises(ScoringError, match=message):
        evaluate(rows)


def test_logits_that_are_not_finite_are_an_error(spark: SparkSession) -> None:
    rows = frame(spark, [0.0, 1.0], [[1.0, 2.0, 3.0], [1.0, float("nan"), 3.0]], "logits")
    with pytest.raises(ScoringError, match="finite logits, found 1 of 2 rows"):
        evaluate(rows)


def test_no_rows_are_an_error(spark: SparkSession) -> None:
    rows = frame(spark, LABELS, PROBABILITIES, "probabilities").where("label > 5")
    with pytest.raises(ScoringError, match="expected at least one prediction, found none"):
        evaluate(rows)


def test_the_predicted_label_is_the_most_probable_class(spark: SparkSession) -> None:
    rows = add_predicted_label(frame(spark, LABELS, PROBABILITIES)).collect()
    assert [row.predicted_label for row in rows] == [0.0, 1.0, 1.0, 0.0, 2.0, 1.0, 1.0]


def test_nothing_stays_cached(spark: SparkSession) -> None:
    before = spark.sparkContext._jsc.getPersistentRDDs().size()
    evaluate(frame(spark, LABELS, PROBABILITIES))
    assert spark.sparkContext._jsc.getPersistentRDDs().size() == before
