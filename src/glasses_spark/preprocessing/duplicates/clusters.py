"""Clusters: near hashes connected, in the driver for some, in Spark for many."""

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
    Hashes,
    Integers,
    band_keys,
    near_pairs,
)

# Columns of a frame of hashes: the first id that has it, and its words (bigint).
FIRST: Final = "first"
HASH_WORDS: Final = [f"word_{number}" for number in range(WORDS)]
_KEY: Final = "key"
_OTHER: Final = "other"
_NEXT: Final = "next"
_CHANGED: Final = "changed"


def cluster_places(hashes: Hashes) -> Integers:
    """Cluster hashes: those that a chain of near ones connects are together.

    Args:
        hashes: ``(images, 4)``, as ``hash_pixels`` gives them.

    Returns:
        ``(images,)``: the first place in each one's cluster, its own where it is alone.
    """
    # Equal hashes count once: a thousand of them would be half a million near pairs.
    distinct, place_of = np.unique(hashes, axis=0, return_inverse=True)
    place_of = place_of.reshape(-1)
    smallest = np.arange(len(distinct))
    one, other = near_pairs(distinct).T
    before = smallest - 1
    while not np.array_equal(before, smallest):
        before = smallest.copy()
        np.minimum.at(smallest, one, smallest[other])
        np.minimum.at(smallest, other, smallest[one])
        smallest = smallest[smallest]
    component = smallest[place_of]
    first = np.full(len(distinct), len(hashes))
    np.minimum.at(first, component, np.arange(len(hashes)))
    places: Integers = first[component]
    return places


def cluster_in_spark(hashes: DataFrame) -> DataFrame:
    """Cluster distinct hashes in Spark, without comparing each with all others.

    Args:
        hashes: ``first`` (int) and the words of the hash, each hash once.

    Returns:
        A checkpoint, to be given to ``release`` in the end: ``first`` and ``cluster``
        (int, the smallest ``first`` in it) of those that are near to another one.
    """
    return _components(_near(hashes))


def _near(distinct: DataFrame) -> DataFrame:
    """Find the pairs of distinct hashes that are near, by the keys that they share."""
    schema = f"{_KEY} bigint, {FIRST} int, " + ", ".join(f"{word} bigint" for word in HASH_WORDS)
    keyed = distinct.select(FIRST, *HASH_WORDS).mapInArrow(_with_keys, schema)
    one, other = keyed.alias("one"), keyed.alias("other")
    differing = sum(
        (F.bit_count(F.col(f"one.{w}").bitwiseXOR(F.col(f"other.{w}"))) for w in HASH_WORDS),
        F.lit(0),
    )
    return (
        one.join(
            other,
            (F.col(f"one.{_KEY}") == F.col(f"other.{_KEY}"))
            & (F.col(f"one.{FIRST}") < F.col(f"other.{FIRST}")),
        )
        .where(differing <= DISTANCE)
        .select(F.col(f"one.{FIRST}").alias(FIRST), F.col(f"other.{FIRST}").alias(_OTHER))
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
    """Connect pairs: the smallest number of each one's component, as a checkpoint.

    Each round takes the smallest number among the neighbours, then that number's own: a
    chain of n is done in about log n rounds. Checkpoints, as each round would otherwise
    hold the plans of all before it, twice.
    """
    edges = pairs.unionByName(
        pairs.select(F.col(_OTHER).alias(FIRST), F.col(FIRST).alias(_OTHER))
    ).localCheckpoint()
    found = (
        edges.groupBy(FIRST)
        .agg(F.least(F.min(_OTHER), F.col(FIRST)).alias(CLUSTER))
        .withColumn(_CHANGED, F.lit(True))
        .localCheckpoint()
    )
    while not found.where(_CHANGED).isEmpty():
        before, found = found, _next_round(edges, found).localCheckpoint()
        release(before)
    release(edges)
    return found


def _next_round(edges: DataFrame, found: DataFrame) -> DataFrame:
    known = found.select(F.col(FIRST).alias(_OTHER), F.col(CLUSTER).alias(_NEXT))
    nearest = edges.join(known, _OTHER).groupBy(FIRST).agg(F.min(_NEXT).alias(_NEXT))
    lower = found.join(nearest, FIRST).select(FIRST, CLUSTER, F.least(CLUSTER, _NEXT).alias(_NEXT))
    further = found.select(F.col(FIRST).alias(_NEXT), F.col(CLUSTER).alias(_OTHER))
    cluster = F.least(_OTHER, _NEXT)
    return lower.join(further, _NEXT, "left").select(
        FIRST, cluster.alias(CLUSTER), (cluster < F.col(CLUSTER)).alias(_CHANGED)
    )


def release(checkpoint: DataFrame) -> None:
    """Let go of a local checkpoint, which Spark keeps until Java's memory is cleaned up."""
    checkpoint._jdf.queryExecution().analyzed().rdd().unpersist(False)
