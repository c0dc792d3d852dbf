"""Clustering of near hashes in Spark."""

from __future__ import annotations

from math import ceil
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import CLUSTER, ID
from glasses_spark.preprocessing.duplicates.perceptual_hash import (
    BAND_PAIRS,
    WORDS,
    Integers,
    near_pairs,
)
from glasses_spark.runtime.connect import is_connect

# Columns of a frame of hashes: the id, and the words of the hash (bigint).
HASH_WORDS: Final = [f"word_{number}" for number in range(WORDS)]
_TASK: Final = "task"
_NEIGHBOUR: Final = "neighbour"
_NEXT: Final = "next"
_CHANGED: Final = "changed"

# Up to so many hashes, the driver compares them. Of more, each task of the search has a copy, 40
# bytes each, and compares them by some of the keys. For this many random hashes it takes 0.2 s,
# for similar images longer.
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
    if count <= _HASHES_PER_TASK:
        # One Spark job, in place of a shuffle and several.
        table = _cluster(hashes.toArrow(), part=0, parts=1)
        return hashes.sparkSession.createDataFrame(table).localCheckpoint() if len(table) else None
    tasks = min(ceil(count / _HASHES_PER_TASK), len(BAND_PAIRS))
    found = _cluster_in_tasks(hashes, tasks).localCheckpoint()
    # The usual case, without the joins of the next step.
    if found.isEmpty():
        unpersist_checkpoint(found)
        return None
    components = _components(found.withColumnRenamed(CLUSTER, _NEIGHBOUR))
    unpersist_checkpoint(found)
    return components


def _cluster_in_tasks(hashes: DataFrame, tasks: int) -> DataFrame:
    """Cluster by the near pairs that each task finds: each image with the smallest one."""

    def search(key: tuple[Any, ...], table: pa.Table) -> pa.Table:
        return _cluster(table, part=key[0].as_py(), parts=tasks)

    numbers = F.array(*(F.lit(number) for number in range(tasks)))
    copies = hashes.select(F.explode(numbers).alias(_TASK), ID, *HASH_WORDS)
    return copies.groupBy(_TASK).applyInArrow(search, f"{ID} int, {CLUSTER} int")


def _cluster(hashes: pa.Table, *, part: int, parts: int) -> pa.Table:
    """Return ``id`` and ``cluster`` of the images that one of several parts of a search finds."""
    # By id, so that equal images are paired with the smallest one.
    hashes = hashes.sort_by(ID)
    words = np.stack([hashes.column(word).to_numpy() for word in HASH_WORDS], axis=1)
    members, clusters = _connect(near_pairs(words, part, parts), len(words))
    ids = hashes.column(ID).to_numpy()
    return pa.table({ID: ids[members], CLUSTER: ids[clusters]})


def _connect(pairs: Integers, count: int) -> tuple[Integers, Integers]:
    """Return the members of all pairs, and the smallest index that each is connected with."""
    smallest = np.arange(count)
    before = np.zeros(0, smallest.dtype)
    while not np.array_equal(before, smallest):
        before = smallest.copy()
        lower = smallest[pairs].min(axis=1)
        for ends in pairs.T:
            np.minimum.at(smallest, ends, lower)
        smallest = smallest[smallest]
    members = np.unique(pairs)
    return members, smallest[members]


def _components(pairs: DataFrame) -> DataFrame:
    """Merge the clusters of several tasks: the smallest id of each, as a local checkpoint.

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
    # Under Spark Connect the server drops it together with the DataFrame here.
    if not is_connect(checkpoint.sparkSession):
        checkpoint._jdf.queryExecution().analyzed().rdd().unpersist(False)
