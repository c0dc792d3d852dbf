"""Tests for glasses_spark.preprocessing.duplicates.clusters."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from numpy.typing import NDArray
from pyspark.sql import SparkSession

from glasses_spark.preprocessing.duplicates.clusters import (
    HASH_WORDS,
    cluster_hashes,
    unpersist_checkpoint,
)
from glasses_spark.preprocessing.duplicates.perceptual_hash import DISTANCE


def clusters_of(
    spark: SparkSession,
    hashes: Mapping[int, NDArray[np.int64]],
    *,
    count: int = 5,
) -> dict[int, int]:
    rows = [(number, *map(int, words)) for number, words in hashes.items()]
    schema = "id int, " + ", ".join(f"{word} bigint" for word in HASH_WORDS)
    checkpoint = cluster_hashes(spark.createDataFrame(rows, schema), count)
    if checkpoint is None:
        return {}
    clusters = {row.id: row.cluster for row in checkpoint.collect()}
    unpersist_checkpoint(checkpoint)
    return clusters


def chain(length: int) -> list[NDArray[np.int64]]:
    """Return hashes that differ from the next in 16 bits, from others in more."""
    hashes = [np.zeros(4, np.int64)]
    for step in range(length - 1):
        word = hashes[-1].copy()
        word[step % 3] ^= (2**DISTANCE - 1) << (DISTANCE * (step // 3))
        hashes.append(word)
    return hashes


@pytest.mark.slow
def test_a_cluster_contains_all_hashes_of_a_chain_of_near_ones(spark: SparkSession) -> None:
    far = np.full(4, -1, np.int64)
    hashes = dict(zip([40, 10, 30, 20, 50], [*chain(4), far], strict=True))

    # A hash that is near no other one is in no cluster.
    expected = dict.fromkeys([10, 20, 30, 40], 10)
    assert clusters_of(spark, hashes) == expected
    # Three tasks, each with a third of the keys.
    assert clusters_of(spark, hashes, count=60_000) == expected


@pytest.mark.slow
def test_hashes_with_17_differing_bits_are_not_near(spark: SparkSession) -> None:
    first, near, far = np.zeros((3, 4), np.int64)
    near[0], far[1] = 2**16 - 1, 2**17 - 1

    assert DISTANCE == 16
    assert clusters_of(spark, {1: first, 2: near, 3: far}) == {1: 1, 2: 1}


def test_hashes_that_are_all_far_apart_make_no_cluster(spark: SparkSession) -> None:
    assert clusters_of(spark, {1: np.zeros(4, np.int64), 2: np.full(4, -1, np.int64)}) == {}


@pytest.mark.slow
def test_no_hash_and_one_hash_make_no_cluster(spark: SparkSession) -> None:
    assert clusters_of(spark, {}, count=0) == {}
    assert clusters_of(spark, {7: np.zeros(4, np.int64)}, count=1) == {}


@pytest.mark.slow
def test_images_of_one_hash_are_a_cluster_by_their_smallest_id(spark: SparkSession) -> None:
    other = np.full(4, -1, np.int64)
    assert clusters_of(spark, {4: other, 1: np.zeros(4, np.int64), 3: other, 2: other}) == {
        2: 2,
        3: 2,
        4: 2,
    }
