"""Tests for glasses_spark.evaluation.task, and the metrics of two classes of each form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession
from sklearn import metrics as sklearn

from glasses_spark.errors import ScoringError
from glasses_spark.evaluation.metrics import (
    Metrics,
    add_predicted_label,
    evaluate,
    metrics_of,
)
from glasses_spark.evaluation.scores import collect_scores
from glasses_spark.evaluation.task import Task, task_of
from tests.evaluation.test_class_metrics import frame

# Together a quarter of a minute of small Spark jobs.
pytestmark = pytest.mark.slow

LABELS = [0.0, 1.0, 1.0, 0.0, 1.0]
OF_ONE = [0.2, 0.7, 0.4, 0.6, 0.9]
LOGITS = [float(np.log(p / (1 - p))) for p in OF_ONE]


def with_kind(spark: SparkSession, outputs: Sequence[Sequence[float]], kind: str) -> DataFrame:
    return frame(spark, LABELS, outputs, kind)


@pytest.mark.parametrize(
    ("outputs", "kind"),
    [
        ([[p] for p in OF_ONE], ""),
        ([[p] for p in OF_ONE], "probabilities"),
        ([[1 - p, p] for p in OF_ONE], ""),
        ([[1 - p, p] for p in OF_ONE], "probabilities"),
        ([[z] for z in LOGITS], "logits"),
        ([[3.0, z + 3.0] for z in LOGITS], "logits"),
    ],
    ids=["one", "one known", "two", "two known", "logit", "two logits"],
)
def test_two_classes_have_the_metrics_of_the_probability_of_class_1(
    spark: SparkSession, outputs: list[list[float]], kind: str
) -> None:
    predictions, threshold = with_kind(spark, outputs, kind), 0.65
    guess = (np.array(OF_ONE) >= threshold).astype(float)

    metrics = evaluate(predictions, threshold=threshold)

    assert isinstance(metrics, Metrics)
    assert metrics.accuracy == sklearn.accuracy_score(LABELS, guess)
    assert metrics.log_loss == pytest.approx(sklearn.log_loss(LABELS, OF_ONE), rel=1e-9)
    assert metrics.stable_log_loss == pytest.approx(metrics.log_loss, rel=1e-9)
    assert metrics.roc_auc == pytest.approx(sklearn.roc_auc_score(LABELS, OF_ONE))
    assert metrics.macro_f1 == pytest.approx(sklearn.f1_score(LABELS, guess, average="macro"))
    assert metrics.weighted_f1 == pytest.approx(sklearn.f1_score(LABELS, guess, average="weighted"))
    labels = add_predicted_label(predictions, threshold=threshold).collect()
    assert [row.predicted_label for row in labels] == guess.tolist()
    # More rows than are collected one by one.
    (binned,) = collect_scores(predictions, threshold=threshold, exact_up_to=2).values()
    assert metrics_of(binned, threshold=threshold).accuracy == metrics.accuracy


def test_logits_are_finite_in_the_loss_where_their_probability_is_not_told_from_1(
    spark: SparkSession,
) -> None:
    metrics = evaluate(frame(spark, [0.0, 1.0], [[50.0], [-800.0]], "logits"))
    assert isinstance(metrics, Metrics)
    assert metrics.stable_log_loss == pytest.approx((50 + 800) / 2)


def test_logits_without_metadata_are_not_judged_as_probabilities(spark: SparkSession) -> None:
    with pytest.raises(ScoringError, match="all probabilities between 0 and 1, found 3 of 5"):
        evaluate(with_kind(spark, [[z] for z in LOGITS], "")).as_dict()
    with pytest.raises(ScoringError, match="one output, or two that sum to 1, found 5 of 5"):
        evaluate(with_kind(spark, [[3.0, z + 3.0] for z in LOGITS], ""))


@pytest.mark.parametrize("exact_up_to", [200_000, 0])
def test_two_outputs_that_are_not_shares_of_one_are_an_error(
    spark: SparkSession, exact_up_to: int
) -> None:
    rows = frame(spark, [0.0, 1.0], [[0.9, 0.8], [0.5, 0.5]])
    with pytest.raises(ScoringError, match="one output, or two that sum to 1, found 1 of 2"):
        collect_scores(rows, exact_up_to=exact_up_to)


def test_scores_are_those_of_two_classes(spark: SparkSession) -> None:
    three = [[0.1, 0.2, 0.7]] * 5
    with pytest.raises(ScoringError, match=r"two classes, found those of three .*\. Use evaluate"):
        collect_scores(with_kind(spark, three, "probabilities"))
    with pytest.raises(ScoringError, match="one output, or two that sum to 1, found 5 of 5"):
        collect_scores(with_kind(spark, three, ""))


def test_the_kind_survives_selection_joins_caches_and_parquet(
    spark: SparkSession, tmp_path: Any
) -> None:
    logits = with_kind(spark, [[z] for z in LOGITS], "logits")
    logits.write.parquet(str(tmp_path / "predictions"))
    stored = spark.read.parquet(str(tmp_path / "predictions"))
    joined = stored.join(stored.select("label").distinct(), "label").where("label < 9").cache()

    assert task_of(joined.select("prediction", "label")) == Task("two classes", 1, logits=True)


@pytest.mark.parametrize(
    ("kind", "outputs", "message"),
    [
        ("outputs of the loss hinge", [0.5], "found outputs of the loss hinge. Train with"),
        (
            "3 independent outputs of the loss binary_crossentropy",
            [0.2, 0.3, 0.5],
            "found 3 independent outputs of the loss binary_crossentropy",
        ),
        ("outputs of the shape (2, 1)", [0.2, 0.8], r"found outputs of the shape \(2, 1\)"),
        ("numbers", [0.2, 0.8], r"expected one number .* found 2. Select one .* prediction\[0\]"),
    ],
)
def test_other_outputs_are_refused_by_name(
    spark: SparkSession, kind: str, outputs: list[float], message: str
) -> None:
    with pytest.raises(ScoringError, match=message):
        evaluate(frame(spark, [0.0], [outputs], kind))


@pytest.mark.parametrize("outputs", [[0.8], [0.2, 0.8]])
@pytest.mark.parametrize(("label", "shown"), [(5.0, "5"), (0.5, "0.5"), (float("nan"), "nan")])
def test_a_label_of_no_class_is_shown(
    spark: SparkSession, outputs: list[float], label: float, shown: str
) -> None:
    with pytest.raises(
        ScoringError, match=rf"labels 0.0 or 1.0, found 1 of 2 .*, such as {shown}$"
    ):
        evaluate(frame(spark, [1.0, label], [outputs, outputs]))


def test_one_of_the_numbers_of_a_regression_can_be_selected(spark: SparkSession) -> None:
    rows = frame(spark, [0.0, 1.0], [[0.5, 9.0], [1.5, 9.0]], "numbers")
    first = rows.withColumn("prediction", rows.prediction[0])
    assert evaluate(first).as_dict()["rmse"] == 0.5


def test_columns_of_other_types_are_refused(spark: SparkSession) -> None:
    vector = spark.createDataFrame([(1.0, Vectors.dense(0.5))], ["label", "prediction"])
    with pytest.raises(ScoringError, match="a number or an array of numbers as prediction, got"):
        evaluate(vector)
    one_hot = spark.createDataFrame([([0.0, 1.0], [0.5, 0.5])], ["label", "prediction"])
    with pytest.raises(ScoringError, match="expected a number as label, got array<double>"):
        evaluate(one_hot)
