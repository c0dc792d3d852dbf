"""Clustering of near hashes in Spark."""

from __future__ import annotations

from math import ceil
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import CLUSTER, ID
from glasses_spark.preprocessing.duplicates.perceptual_hash import BAND_PAIRS, WORDS, near_pairs

# Columns of a frame of hashes: the id, and the words of the hash (bigint).
HASH_WORDS: Final = [f"word_{number}" for number in range(WORDS)]
_TASK: Final = "task"
_NEIGHBOUR: Final = "neighbour"
_NEXT: Final = "next"
_CHANGED: Final = "changed"

# Each task of the search has a copy of all hashes, 40 bytes each, and compares them by some
# of the keys. One task compares this many hashes by all keys in about 2 s.
_HASHES_PER_TASK: Final = 20_000


def cluster_hashes(hashes: DataFrame, count: int) -> DataFrame | None:
    """Cluster hashes without comparing all pairs.

    A cluster holds all images that are connected by chains of near hashes.

    Args:
        hashes: ``id`` (int, unique) and the words of the hash.
        count: Number of the hashes, or an upper limit of it.

    Returns:
        A local checkpoint, which the caller passes to ``unpersist_checkpoint``: ``id`` and
        ``cluster`` (int, the smallest ``id`` in it) of the images whose hash is near
        another one. None if there are none.
    """
    pairs = _find_pairs(hashes, count).localCheckpoint()
    try:
        # The usual case. The rounds of _components would cost a dozen jobs to find nothing.
        return None if pairs.isEmpty() else _components(pairs)
    finally:
        unpersist_checkpoint(pairs)


def _find_pairs(hashes: DataFrame, count: int) -> DataFrame:
    tasks = min(max(1, ceil(count / _HASHES_PER_TASK)), len(BAND_PAIRS))

    def search(key: tuple[Any, ...], table: pa.Table) -> pa.Table:
        # By id, so that equal images are paired with the smallest one.
        table = table.sort_by(ID)
        words = np.stack([table.column(word).to_numpy() for word in HASH_WORDS], axis=1)
        ids = table.column(ID).to_numpy()[near_pairs(words, key[0].as_py(), tasks)]
        return pa.table({ID: ids[:, 0], _NEIGHBOUR: ids[:, 1]})

    numbers = F.array(*(F.lit(number) for number in range(tasks)))
    copies = hashes.select(F.explode(numbers).alias(_TASK), ID, *HASH_WORDS)
    pairs = copies.groupBy(_TASK).applyInArrow(search, f"{ID} int, {_NEIGHBOUR} int")
    return pairs if tasks == 1 else pairs.distinct()


def _components(pairs: DataFrame) -> DataFrame:
    """Return the smallest number in the component of each number, as a local checkpoint.

    Each round takes the smallest number among the neighbours, then the smallest number of
    that number, so that a chain of n takes about log n rounds. Without checkpoints each
    round's plan would contain the plans of all earlier rounds twice.
    """
    edges = pairs.unionByName(
        pairs.select(F.col(_NEIGHBOUR).alias(ID), F.col(ID).alias(_NEIGHBOUR))
    ).localCheckpoint()
    components = (
        edges.groupBy(ID)
        .agg(F.least(F.min(_NEIGHBOUR), F.col(ID)).alias(CLUSTER))
        .withColumn(_CHANGED, F.lit(True))
        .localCheckpoint()
    )
    while not components.where(_CHANGED).isEmpty():
        before, components = components, _next_round(edges, components).localCheckpoint()
        unpersist_checkpoint(before)
    unpersist_checkpoint(edges)
    return components


def _next_round(edges: DataFrame, components: DataFrame) -> DataFrame:
    known = components.select(F.col(ID).alias(_NEIGHBOUR), F.col(CLUSTER).alias(_NEXT))
    nearest = edges.join(known, _NEIGHBOUR).groupBy(ID).agg(F.min(_NEXT).alias(_NEXT))
    lower = components.join(nearest, ID).select(ID, CLUSTER, F.least(CLUSTER, _NEXT).alias(_NEXT))
    further = components.select(F.col(ID).alias(_NEXT), F.col(CLUSTER).alias(_NEIGHBOUR))
    cluster = F.least(_NEIGHBOUR, _NEXT)
    return lower.join(further, _NEXT, "left").select(
        ID, cluster.alias(CLUSTER), (cluster < F.col(CLUSTER)).alias(_CHANGED)
    )


def unpersist_checkpoint(checkpoint: DataFrame) -> None:
    """Unpersist a local checkpoint, which Spark otherwise keeps until Java's next collection."""
    checkpoint._jdf.queryExecution().analyzed().rdd().unpersist(False)
