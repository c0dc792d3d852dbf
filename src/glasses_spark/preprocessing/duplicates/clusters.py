"""Clustering of near hashes in Spark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import CLUSTER
from glasses_spark.preprocessing.duplicates.perceptual_hash import (
    DISTANCE,
    WORDS,
    band_keys,
)

# Columns of a frame of hashes: the first id that has the hash, and its words (bigint).
FIRST: Final = "first"
HASH_WORDS: Final = [f"word_{number}" for number in range(WORDS)]
_KEY: Final = "key"
_NEIGHBOUR: Final = "neighbour"
_NEXT: Final = "next"
_CHANGED: Final = "changed"


def cluster_hashes(hashes: DataFrame) -> DataFrame | None:
    """Cluster distinct hashes without comparing all pairs.

    A cluster holds all hashes that are connected by chains of near ones.

    Args:
        hashes: ``first`` (int) and the words of the hash, each hash once.

    Returns:
        A local checkpoint, which the caller passes to ``unpersist_checkpoint``: ``first``
        and ``cluster`` (int, the smallest ``first`` in it) of the hashes that are near
        another one. None if no two hashes are near.
    """
    pairs = _near(hashes).localCheckpoint()
    try:
        # The usual case. The rounds of _components would cost a dozen jobs to find nothing.
        return None if pairs.isEmpty() else _components(pairs)
    finally:
        unpersist_checkpoint(pairs)


def _near(distinct: DataFrame) -> DataFrame:
    """Find the pairs of near hashes among distinct ones by their common keys."""
    schema = f"{_KEY} bigint, {FIRST} int, " + ", ".join(f"{word} bigint" for word in HASH_WORDS)
    keyed = distinct.select(FIRST, *HASH_WORDS).mapInArrow(_with_keys, schema)
    left, right = keyed.alias("left"), keyed.alias("right")
    differing = sum(
        (F.bit_count(F.col(f"left.{w}").bitwiseXOR(F.col(f"right.{w}"))) for w in HASH_WORDS),
        F.lit(0),
    )
    return (
        left.join(
            right,
            (F.col(f"left.{_KEY}") == F.col(f"right.{_KEY}"))
            & (F.col(f"left.{FIRST}") < F.col(f"right.{FIRST}")),
        )
        .where(differing <= DISTANCE)
        .select(F.col(f"left.{FIRST}").alias(FIRST), F.col(f"right.{FIRST}").alias(_NEIGHBOUR))
        .distinct()
    )


def _with_keys(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        words = [batch.column(word).to_numpy() for word in HASH_WORDS]
        keys = band_keys(np.stack(words, axis=1))
        repeated = [
            pa.array(np.repeat(column, keys.shape[1]))
            for column in (batch.column(FIRST).to_numpy(), *words)
        ]
        yield pa.RecordBatch.from_arrays(
            [pa.array(keys.reshape(-1)), *repeated], names=[_KEY, FIRST, *HASH_WORDS]
        )


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
