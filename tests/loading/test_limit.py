"""Tests for glasses_spark.loading.limit; test_dataset tests the limit with files."""

from __future__ import annotations

import pytest
from pyspark.sql import SparkSession

from glasses_spark.loading.labels import labels_frame
from glasses_spark.loading.limit import limit_condition


def choose(spark: SparkSession, limit: int, *, seed: int = 0, zeros: int = 20) -> list[int]:
    """Choose from 100 ids, of which the first ``zeros`` have the label 0."""
    labels = labels_frame(spark, {number: float(number >= zeros) for number in range(100)})
    condition = limit_condition(labels, {0.0: zeros, 1.0: 100 - zeros}, limit, seed)
    return sorted(row["id"] for row in labels.where(condition).collect())


@pytest.mark.parametrize(
    ("limit", "zeros"), [(2, 1), (20, 4), (99, 20), (100, 20)], ids=lambda value: str(value)
)
def test_each_label_keeps_its_share(spark: SparkSession, limit: int, zeros: int) -> None:
    chosen = choose(spark, limit)

    assert len(chosen) == limit
    assert sum(number < 20 for number in chosen) == zeros


def test_a_rare_label_keeps_one_image(spark: SparkSession) -> None:
    assert sum(number < 1 for number in choose(spark, 10, zeros=1)) == 1


def test_a_larger_limit_adds_to_the_choice(spark: SparkSession) -> None:
    assert set(choose(spark, 20, seed=3)) < set(choose(spark, 30, seed=3))


def test_another_seed_makes_another_choice(spark: SparkSession) -> None:
    assert choose(spark, 20, seed=3) != choose(spark, 20, seed=4)
