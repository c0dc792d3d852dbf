"""Clustering of near hashes in Spark."""

from __future__ import annotations

from math import ceil
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import CLUSTER
from glasses_spark.preprocessing.duplicates.perceptual_hash import BAND_PAIRS, WORDS, near_pairs

# Columns of a frame of hashes: the first id that has the hash, the number of images that have
# it, and its words (bigint).
FIRST: Final = "first"
SIZE: Final = "size"
HASH_WORDS: Final = [f"word_{number}" for number in range(WORDS)]
_TASK: Final = "task"
_NEIGHBOUR: Final = "neighbour"
_NEXT: Final = "next"
_CHANGED: Final = "changed"

# Each task of the search has a copy of all hashes, 48 bytes each, and compares them by some
# of the keys. One task compares this many hashes by all keys in about 2 s.
_HASHES_PER_TASK: Final = 20_000


def cluster_hashes(hashes: DataFrame, count: int) -> DataFrame | None:
    """Cluster distinct hashes without comparing all pairs.

    A cluster holds all hashes that are connected by chains of near ones.

    Args:
        hashes: ``first`` (int), ``size`` (bigint) and the words of the hash, each hash once.
        count: Number of the hashes, or an upper limit of it.

    Returns:
        A local checkpoint, which the caller passes to ``unpersist_checkpoint``: ``first``
        and ``cluster`` (int, the smallest ``first`` in it) of the hashes that are near
        another one or that several images have. None if there are none.
    """
    pairs = _find_pairs(hashes, count).localCheckpoint()
    try:
        # The usual case. The rounds of _components would cost a dozen jobs to find nothing.
        return None if pairs.isEmpty() else _components(pairs)
    finally:
        unpersist_checkpoint(pairs)


def _find_pairs(hashes: DataFrame, count: int) -> DataFrame:
    """Find the pairs of near hashes, and pair each repeated hash with itself."""
    tasks = min(max(1, ceil(count / _HASHES_PER_TASK)), len(BAND_PAIRS))

    def search(key: tuple[Any, ...], table: pa.Table) -> pa.Table:
        words = np.stack([table.column(word).to_numpy() for word in HASH_WORDS], axis=1)
        pairs = near_pairs(words, key[0].as_py(), tasks)
        repeated = np.flatnonzero(table.column(SIZE).to_numpy() > 1)
        ends = np.concatenate([pairs, np.stack([repeated, repeated], axis=1)])
        numbers = np.sort(table.column(FIRST).to_numpy()[ends], axis=1)
        return pa.table({FIRST: numbers[:, 0], _NEIGHBOUR: numbers[:, 1]})

    numbers = F.array(*(F.lit(number) for number in range(tasks)))
    copies = hashes.select(F.explode(numbers).alias(_TASK), FIRST, SIZE, *HASH_WORDS)
    pairs = copies.groupBy(_TASK).applyInArrow(search, f"{FIRST} int, {_NEIGHBOUR} int")
    return pairs if tasks == 1 else pairs.distinct()


def _components(pairs: DataFrame) -> DataFrame:
    """Return the smallest number in the component of each number, as a local checkpoint.

    Each round takes the smallest number among the neighbours, then the smallest number of
    that number, so that a chain of n takes about log n rounds. Without checkpoints each
    round's plan would contain the plans of all earlier rounds twice.
    """
    edges = pairs.unionByName(
        pairs.select(F.col(_NEIGHBOUR).alias(FIRST), F.col(FIRST).alias(_NEIGHBOUR))
    ).localCheckpoint()
    components = (
        edges.groupBy(FIRST)
        .agg(F.least(F.min(_NEIGHBOUR), F.col(FIRST)).alias(CLUSTER))
        .withColumn(_CHANGED, F.lit(True))
        .localCheckpoint()
    )
    while not components.where(_CHANGED).isEmpty():
        before, components = components, _next_round(edges, components).localCheckpoint()
        unpersist_checkpoint(before)
    unpersist_checkpoint(edges)
    return components


def _next_round(edges: DataFrame, components: DataFrame) -> DataFrame:
    known = components.select(F.col(FIRST).alias(_NEIGHBOUR), F.col(CLUSTER).alias(_NEXT))
    nearest = edges.join(known, _NEIGHBOUR).groupBy(FIRST).agg(F.min(_NEXT).alias(_NEXT))
    lower = components.join(nearest, FIRST).select(
        FIRST, CLUSTER, F.least(CLUSTER, _NEXT).alias(_NEXT)
    )
    further = components.select(F.col(FIRST).alias(_NEXT), F.col(CLUSTER).alias(_NEIGHBOUR))
    cluster = F.least(_NEIGHBOUR, _NEXT)
    return lower.join(further, _NEXT, "left").select(
        FIRST, cluster.alias(CLUSTER), (cluster < F.col(CLUSTER)).alias(_CHANGED)
    )


def unpersist_checkpoint(checkpoint: DataFrame) -> None:
    """Unpersist a local checkpoint, which Spark otherwise keeps until Java's next collection."""
    checkpoint._jdf.queryExecution().analyzed().rdd().unpersist(False)
