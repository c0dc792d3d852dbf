"""Tests for glasses_spark.evaluation.scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark.errors import ScoringError
from glasses_spark.evaluation.metrics import metrics_of
from glasses_spark.evaluation.scores import collect_scores
from tests.evaluation.test_metrics import frame


@pytest.fixture(scope="module")
def predictions(spark: SparkSession) -> DataFrame:
    """2,000 rows in two parts, some with probabilities that round to 0 or 1."""
    generator = np.random.default_rng(5)
    label = generator.integers(0, 2, 2000).astype(float)
    logit = generator.normal(6 * label - 3, 4)
    logit[:6] = [-800, 800, 40, 41, -40, 0]
    probability = 1 / (1 + np.exp(-np.maximum(logit, -700)))
    part = generator.choice(["test", "train"], 2000)
    table = pd.DataFrame({"label": label, "p": probability, "rawPrediction": logit, "split": part})
    rows = spark.createDataFrame(table)
    return rows.select("label", F.array("p").alias("prediction"), "rawPrediction", "split")


def test_all_parts_are_collected_in_one_spark_job(
    spark: SparkSession, predictions: DataFrame
) -> None:
    context = spark.sparkContext
    context.setJobGroup("scores", "scores")
    try:
        scores = collect_scores(predictions, part="split")
        jobs = context.statusTracker().getJobIdsForGroup("scores")
    finally:
        context.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]

    assert sum(part.rows for part in scores.values()) == 2000
    assert len(jobs) == 1


@pytest.mark.slow
def test_binned_scores_approximate_exact_scores(
    predictions: DataFrame,
) -> None:
    single = collect_scores(predictions, part="split", threshold=0.3)
    binned = collect_scores(predictions, part="split", threshold=0.3, exact_up_to=1999)

    assert list(binned) == list(single) == ["train", "test"]
    for part, exact in single.items():
        assert len(binned[part].logit) < len(exact.logit)
        values, expected = (
            metrics_of(scores, threshold=0.3).as_dict() for scores in (binned[part], exact)
        )
        # Confusion counts are exact.
        for name in ("rows", "tp", "fp", "tn", "fn", "accuracy", "precision", "recall", "mcc"):
            assert values[name] == expected[name]
        for name in ("log_loss", "stable_log_loss", "brier_score"):
            assert values[name] == pytest.approx(expected[name], rel=1e-5)
        # With few rows, each pair within one bin has a visible weight.
        for name in ("roc_auc", "pr_auc"):
            assert values[name] == pytest.approx(expected[name], abs=1e-4)
        for name in ("roc_auc", "log_loss"):
            assert values["intervals"][name] == pytest.approx(expected["intervals"][name], abs=1e-4)


@pytest.mark.parametrize("exact_up_to", [200_000, 0])
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
def test_invalid_rows_are_an_error_with_their_number(
    spark: SparkSession,
    labels: list[float | None],
    probabilities: list[float | None],
    logits: list[float | None] | None,
    message: str,
    exact_up_to: int,
) -> None:
    with pytest.raises(ScoringError, match=message):
        collect_scores(frame(spark, labels, probabilities, logits), exact_up_to=exact_up_to)


def test_an_empty_prediction_is_an_error(spark: SparkSession) -> None:
    rows = spark.createDataFrame([(1.0, [])], "label DOUBLE, prediction ARRAY<DOUBLE>")
    with pytest.raises(ScoringError, match="found 1 of 1 null, NaN or out of range"):
        collect_scores(rows)


def test_no_rows_are_an_error(spark: SparkSession) -> None:
    with pytest.raises(ScoringError, match="expected at least one prediction, found none"):
        collect_scores(frame(spark, [], []))


@pytest.mark.parametrize("exact_up_to", [2, 1])
def test_collecting_leaves_nothing_cached(spark: SparkSession, exact_up_to: int) -> None:
    def cached() -> int:
        return int(spark.sparkContext._jsc.getPersistentRDDs().size())

    before = cached()
    collect_scores(frame(spark, [1.0, 0.0], [0.9, 0.2]), exact_up_to=exact_up_to)
    assert cached() == before
