"""Tests for glasses_spark.preprocessing.split."""

from __future__ import annotations

import csv
import math

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark.errors import ConfigError
from glasses_spark.preprocessing.split import split_by_id, split_column, split_key
from tests.paths import REAL_LABELS


def parts(frame: DataFrame, *, seed: int = 0, test: float = 0.2) -> dict[int, str]:
    column = split_column(test=test, validation=0.1, seed=seed)
    return {row["id"]: row["part"] for row in frame.select("id", column.alias("part")).collect()}


def test_each_row_is_in_exactly_one_part(spark: SparkSession) -> None:
    frame = spark.range(1000).select("id", F.lit(1.0).alias("label"))

    train, test = split_by_id(frame, test=0.2, seed=0)

    train_ids = {row["id"] for row in train.collect()}
    test_ids = {row["id"] for row in test.collect()}
    assert train.columns == test.columns == ["id", "label"]
    assert train_ids | test_ids == set(range(1000))
    assert not train_ids & test_ids


def test_partitions_order_type_and_new_files_move_no_row(spark: SparkSession) -> None:
    before = parts(spark.range(500))

    assert parts(spark.range(500).repartition(7).orderBy(F.rand(1))) == before
    assert parts(spark.range(500).select(F.col("id").cast("int"))) == before
    after = parts(spark.range(2000))
    assert {number: after[number] for number in before} == before


def test_a_larger_test_set_contains_the_smaller(spark: SparkSession) -> None:
    small, large = parts(spark.range(500), test=0.2), parts(spark.range(500), test=0.3)

    assert all(large[number] == "test" for number, part in small.items() if part == "test")


def test_another_seed_gives_an_independent_split(spark: SparkSession) -> None:
    first, second = parts(spark.range(5000), seed=1), parts(spark.range(5000), seed=2)

    both = sum(first[number] == second[number] == "test" for number in first)
    assert both / 5000 == pytest.approx(0.2 * 0.2, abs=0.012)


def test_the_parts_have_the_given_fractions(spark: SparkSession) -> None:
    names = list(parts(spark.range(20_000)).values())

    assert names.count("test") / 20_000 == pytest.approx(0.2, abs=0.012)
    assert names.count("validation") / 20_000 == pytest.approx(0.1, abs=0.009)
    assert names.count("train") / 20_000 == pytest.approx(0.7, abs=0.013)


@pytest.mark.slow
@pytest.mark.skipif(not REAL_LABELS.exists(), reason=f"no real labels at {REAL_LABELS}")
def test_both_labels_of_the_kaggle_set_have_their_share_of_the_test_set(
    spark: SparkSession,
) -> None:
    with REAL_LABELS.open() as file:
        rows = [(int(row["index"]), row["label"].strip()) for row in csv.DictReader(file)]
    known = [(number, float(label)) for number, label in rows if label not in ("", "nan")]
    frame = spark.createDataFrame(known, "id int, label double").repartition(1).cache()
    for seed in range(8):
        column = split_column(test=0.2, seed=seed)
        by_label = frame.groupBy("label").agg(
            F.avg((column == "test").cast("double")).alias("test")
        )
        shares = {row["label"]: row["test"] for row in by_label.collect()}

        assert shares == {
            0.0: pytest.approx(0.2, abs=0.02),
            1.0: pytest.approx(0.2, abs=0.02),
        }
    frame.unpersist()


@pytest.mark.parametrize(
    ("test", "validation", "key"),
    [
        (-0.1, 0.0, "split.test: expected a number between 0 and 1"),
        (1.0, 0.0, "split.test: .* got 1.0"),
        (math.nan, 0.0, "split.test: .* got nan"),
        (0.2, -0.1, "split.validation: .* got -0.1"),
        (0.5, 0.5, "split.validation: expected a sum below 1"),
    ],
)
def test_a_fraction_out_of_range_is_an_error_that_names_the_key(
    spark: SparkSession, test: float, validation: float, key: str
) -> None:
    with pytest.raises(ConfigError, match=key):
        split_column(test=test, validation=validation, seed=0)


@pytest.mark.parametrize("test", [0.0, 1.0, -1.0, math.nan])
def test_a_split_in_two_needs_a_fraction_between_0_and_1(spark: SparkSession, test: float) -> None:
    with pytest.raises(ConfigError, match=r"split\.test"):
        split_by_id(spark.range(3), test=test, seed=0)


def test_rows_of_one_cluster_are_in_the_same_part(spark: SparkSession) -> None:
    frame = spark.range(1000).select("id", (F.col("id") - F.col("id") % 10).alias("cluster"))

    train, test = split_by_id(frame, test=0.3, seed=0)

    train_clusters = {row["cluster"] for row in train.collect()}
    test_clusters = {row["cluster"] for row in test.collect()}
    assert not train_clusters & test_clusters
    assert train_clusters | test_clusters == set(range(0, 1000, 10))


def test_the_split_is_by_cluster_if_the_frame_has_that_column(spark: SparkSession) -> None:
    assert split_key(spark.range(1)) == "id"
    assert split_key(spark.range(1).select("id", F.col("id").alias("cluster"))) == "cluster"
