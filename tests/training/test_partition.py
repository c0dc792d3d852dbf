"""Tests for glasses_spark.training.partition."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark.training.partition import (
    Partitioned,
    add_keys,
    count_buckets,
    partition,
    spark_hash,
)
from glasses_spark.training.rows import KEY

COLUMNS = ["value", "validation"]


def numbers(spark: SparkSession, rows: int, *, partitions: int = 3) -> DataFrame:
    return spark.range(rows, numPartitions=partitions).select(
        F.col("id").alias("value"), F.lit(False).alias("validation")
    )


def spread(frame: DataFrame, workers: int, *, seed: int = 0) -> Partitioned:
    keyed = add_keys(frame, ["value"], seed=seed).persist()
    return partition(keyed, count_buckets(keyed), workers)


def contents(parts: Partitioned) -> list[list[int]]:
    """The values of each worker, in order."""
    rows = parts.frame.select("value", "worker").collect()
    count = len(parts.rows)
    return [sorted(row["value"] for row in rows if row["worker"] == w) for w in range(count)]


@pytest.mark.parametrize(("rows", "workers"), [(100, 3), (7, 7), (1, 2), (2, 5), (64, 1)])
def test_every_row_goes_to_one_worker_equally_to_within_one(
    spark: SparkSession, rows: int, workers: int
) -> None:
    parts = spread(numbers(spark, rows), workers)
    rows_by_worker = contents(parts)
    assert sorted(value for part in rows_by_worker for value in part) == list(range(rows))
    assert tuple(len(part) for part in rows_by_worker) == parts.rows
    assert len(rows_by_worker) == workers
    assert max(parts.rows) - min(parts.rows) <= 1


@pytest.mark.parametrize(
    ("workers", "tasks", "hosted"),
    [
        (4, 1, [[0, 1, 2, 3]]),
        (4, 2, [[0, 1], [2, 3]]),
        (5, 3, [[0], [1, 2], [3, 4]]),
        (3, 3, [[0], [1], [2]]),
    ],
)
def test_each_task_has_the_rows_of_its_workers(
    spark: SparkSession, workers: int, tasks: int, hosted: list[list[int]]
) -> None:
    parts = spread(numbers(spark, 40), workers)
    rows = parts.by_task(tasks).select("worker", F.spark_partition_id().alias("task")).collect()
    assert len(rows) == 40
    assert hosted == [
        sorted({row["worker"] for row in rows if row["task"] == task}) for task in range(tasks)
    ]


@pytest.mark.slow
def test_the_workers_rows_do_not_depend_on_the_partitions_of_the_input(spark: SparkSession) -> None:
    ordered = contents(spread(numbers(spark, 60, partitions=1), 4))
    shuffled = contents(spread(numbers(spark, 60, partitions=7).orderBy(F.rand(1)), 4))
    assert ordered == shuffled


def test_another_seed_gives_the_workers_other_rows(spark: SparkSession) -> None:
    frame = numbers(spark, 60)
    assert contents(spread(frame, 3, seed=1)) != contents(spread(frame, 3, seed=2))


def test_equal_rows_are_distributed_too(spark: SparkSession) -> None:
    frame = numbers(spark, 10).withColumn("value", F.lit(5))
    parts = spread(frame, 3)
    assert Counter(map(len, contents(parts))) == Counter(parts.rows) == Counter([3, 3, 4])


def test_validation_rows_are_distributed_equally(spark: SparkSession) -> None:
    frame = numbers(spark, 50).withColumn("validation", F.col("value") < 7)
    parts = spread(frame, 3)
    rows = parts.frame.select("validation", "worker").collect()
    counts = Counter(row["worker"] for row in rows if row["validation"])
    assert tuple(counts[worker] for worker in range(3)) == parts.validation_rows == (2, 2, 3)
    assert parts.rows == (14, 14, 15)


@pytest.mark.parametrize("rows", [30, 3000], ids=["between buckets", "inside buckets"])
def test_each_worker_has_a_range_of_the_rows_in_the_order_of_their_keys(
    spark: SparkSession, rows: int
) -> None:
    # With 4,096 buckets, no two of 30 rows are in one bucket.
    parts = spread(numbers(spark, rows), 4)
    keys = parts.frame.select(KEY, "worker").collect()
    ends = sorted(
        (min(own), max(own))
        for own in ([row[KEY] for row in keys if row["worker"] == w] for w in range(4))
    )
    assert len(keys) == rows
    assert all(last < next_first for (_, last), (next_first, _) in pairwise(ends))


def test_the_input_may_have_empty_partitions(spark: SparkSession) -> None:
    frame = numbers(spark, 40, partitions=8).where("value < 5")
    assert sorted(map(len, contents(spread(frame, 2)))) == [2, 3]


def test_the_hash_is_that_of_spark(spark: SparkSession) -> None:
    rows = spark.range(300).select("id", F.hash(F.col("id").cast("int")).alias("hash")).collect()
    assert all(row["hash"] % 2**32 == spark_hash(row["id"]) for row in rows)


@pytest.mark.slow
def test_rows_are_distributed_to_hundreds_of_workers(spark: SparkSession) -> None:
    parts = spread(numbers(spark, 1000), 300)
    assert [len(part) for part in contents(parts)] == list(parts.rows)


def test_two_partitionings_of_one_frame_are_persisted_separately(spark: SparkSession) -> None:
    frame = numbers(spark, 20)
    first, second = (add_keys(frame, ["value"], seed=0).persist() for _ in range(2))
    first.unpersist()
    assert second.storageLevel.useMemory
