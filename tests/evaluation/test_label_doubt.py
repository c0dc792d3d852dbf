"""Tests for glasses_spark.evaluation.label_doubt."""

from __future__ import annotations

import pytest
from pyspark.sql import DataFrame, SparkSession

from glasses_spark.evaluation.label_doubt import DoubtedLabel, doubt_labels


@pytest.fixture(scope="module")
def predictions(spark: SparkSession) -> DataFrame:
    """Six images with glasses and six without; the labels of 5 and 11 are wrong.

    The mean self-confidence is 0.75 for glasses and 0.7 for no glasses.
    """
    with_glasses = {0: 0.99, 1: 0.95, 2: 0.9, 3: 0.85, 4: 0.75, 5: 0.06}
    without = {6: 0.01, 7: 0.02, 8: 0.1, 9: 0.3, 10: 0.55, 11: 0.82}
    rows = [
        (number, f"f-{number}.png", label, [probability])
        for label, part in ((1.0, with_glasses), (0.0, without))
        for number, probability in part.items()
    ]
    schema = "id int, path string, label double, prediction array<double>"
    return spark.createDataFrame(rows, schema).repartition(3)


def test_labels_are_ranked_by_self_confidence(predictions: DataFrame) -> None:
    doubt = doubt_labels(predictions, limit=4)

    assert [label.id for label in doubt.listed] == [5, 11, 10, 9]
    second = DoubtedLabel(2, 11, "f-11.png", 0.0, 0.82, 1 - 0.82, likely_wrong=True)
    assert doubt.listed[1] == second


def test_a_label_is_likely_wrong_if_the_other_reaches_its_mean_probability(
    predictions: DataFrame,
) -> None:
    doubt = doubt_labels(predictions)

    # 10 is predicted positive, but with less than the mean of 0.75 of the positives.
    assert [label.id for label in doubt.listed if label.likely_wrong] == [5, 11]
    assert (doubt.likely_wrong, doubt.rows, len(doubt.listed)) == (2, 12, 12)


def test_no_label_is_likely_wrong_if_all_are_the_same(predictions: DataFrame) -> None:
    doubt = doubt_labels(predictions.where("label = 1"))

    assert doubt.likely_wrong == 0
    assert doubt.listed[0].id == 5
