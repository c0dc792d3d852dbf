"""Tests for glasses_spark.evaluation.regression_metrics, and `evaluate` of numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from pyspark.sql import DataFrame, SparkSession
from sklearn import metrics as sklearn

from glasses_spark.errors import ScoringError
from glasses_spark.evaluation.metrics import add_predicted_label, evaluate
from glasses_spark.evaluation.regression_metrics import RegressionMetrics

LABELS = [3.0, -0.5, 2.0, 7.0]
PREDICTIONS = [2.5, 0.0, 2.0, 8.0]


def frame(
    spark: SparkSession, labels: Sequence[float | None], predictions: Sequence[float | None]
) -> DataFrame:
    rows = list(zip(labels, predictions, strict=True))
    return spark.createDataFrame(rows, "label DOUBLE, prediction DOUBLE")


def test_the_metrics_agree_with_scikit_learn(spark: SparkSession) -> None:
    metrics = evaluate(frame(spark, LABELS, PREDICTIONS))

    assert isinstance(metrics, RegressionMetrics)
    assert metrics.as_dict() == pytest.approx(
        {
            "rows": 4,
            "rmse": sklearn.root_mean_squared_error(LABELS, PREDICTIONS),
            "mae": sklearn.mean_absolute_error(LABELS, PREDICTIONS),
            "r2": sklearn.r2_score(LABELS, PREDICTIONS),
        },
        abs=1e-12,
    )
    # By hand: the differences are 0.5, 0.5, 0 and 1.
    assert metrics.mae == 0.5
    assert metrics.rmse == pytest.approx(math.sqrt(1.5 / 4))
    assert str(metrics).splitlines()[2].split() == ["mae", "0.5000"]


def test_r2_of_equal_labels_is_undefined(spark: SparkSession) -> None:
    assert evaluate(frame(spark, [2.0, 2.0], [1.0, 3.0])).as_dict() == {
        "rows": 2,
        "rmse": 1.0,
        "mae": 1.0,
        "r2": None,
    }


def test_r2_of_labels_far_from_zero_keeps_its_digits(spark: SparkSession) -> None:
    metrics = evaluate(
        frame(spark, [1e9 + y for y in LABELS], [1e9 + p for p in PREDICTIONS])
    ).as_dict()
    assert metrics["r2"] == pytest.approx(sklearn.r2_score(LABELS, PREDICTIONS), abs=1e-6)


@pytest.mark.parametrize(
    ("label", "prediction", "message"),
    [
        (None, 1.0, "all labels finite, found 1 of 2 null, NaN or infinite"),
        (float("nan"), 1.0, "all labels finite"),
        (1.0, float("inf"), "all predictions finite"),
        (1.0, None, "all predictions finite"),
    ],
)
def test_a_row_that_is_not_finite_is_an_error(
    spark: SparkSession, label: float | None, prediction: float | None, message: str
) -> None:
    with pytest.raises(ScoringError, match=message):
        evaluate(frame(spark, [1.0, label], [1.0, prediction]))


def test_no_rows_are_an_error(spark: SparkSession) -> None:
    with pytest.raises(ScoringError, match="expected at least one prediction, found none"):
        evaluate(frame(spark, [], []))


def test_a_number_has_no_predicted_label(spark: SparkSession) -> None:
    with pytest.raises(ScoringError, match="expected probabilities or logits as prediction"):
        add_predicted_label(frame(spark, LABELS, PREDICTIONS))
