"""Duplicates: images that are nearly the same, and the clusters that they make.

A face that is in the training and, scaled or compressed once more, in the test tells
nothing of faces that the model has not seen. Whatever is near to something of a cluster
belongs to it, so that no two parts of a split share a picture.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from glasses_spark.columns import CLUSTER, CONFLICTING, ID, LABEL, PATH, PIXELS
from glasses_spark.preprocessing.duplicates.clusters import (
    FIRST,
    HASH_WORDS,
    cluster_in_spark,
    cluster_places,
    release,
)
from glasses_spark.preprocessing.duplicates.perceptual_hash import hash_pixels

logger = logging.getLogger(__name__)

# Up to so many rows the hashes, 32 bytes each, are compared in the driver: one Spark job
# where the comparison in Spark takes a dozen.
MOST_IN_DRIVER: Final = 50_000

# Clusters this large are no copies of one picture, but pictures too alike for the hash:
# kept together they would leave a part of the split without images.
LARGEST_FRACTION: Final = 0.1
LARGEST_COUNT: Final = 10
_MEMBERS_NAMED: Final = 5
_HASHED: Final = f"{ID} int, {LABEL} double, " + ", ".join(f"{word} bigint" for word in HASH_WORDS)
_OTHER: Final = "other"
_SIZE: Final = "size"


@dataclass(frozen=True)
class NearDuplicates:
    """Clusters of images that are nearly the same.

    Attributes:
        members: One row an image that is in a cluster with others: ``id`` (int),
            ``cluster`` (int, the smallest id in it) and ``conflicting`` (boolean,
            whether labels in its cluster differ); None where there is no such image.
            Usable until ``unpersist()``.
        images: How many they are.
        clusters: In how many clusters.
        conflicting: How many of these have labels that differ.
        checkpoint: The frame behind ``members`` where Spark keeps one.
    """

    members: DataFrame | None
    images: int
    clusters: int
    conflicting: int
    checkpoint: DataFrame | None = field(default=None, repr=False)

    def unpersist(self) -> None:
        """Let go of what Spark keeps for ``members``, if anything."""
        if self.checkpoint is not None:
            release(self.checkpoint)


def find_near_duplicates(
    pixels: DataFrame, *, rows: int, height: int, width: int
) -> NearDuplicates:
    """Find the images that are nearly the same, in one pass over the pixels.

    Args:
        pixels: ``id`` (int, unique), ``label`` and ``pixels``, none of them null.
        rows: How many rows that is, or a few more; decides where hashes are compared.
        height: Rows of the pixels.
        width: Columns of the pixels.

    Returns:
        The clusters, without those that hold more than a tenth of all images, and more
        than 10: their images count as different ones, and the log says so.
    """
    hashed = pixels.select(ID, LABEL, PIXELS).mapInArrow(_hasher(height, width), _HASHED)
    found = _in_driver(hashed) if rows <= MOST_IN_DRIVER else _in_spark(hashed)
    if found.clusters:
        logger.info(
            "%d images are near-duplicates, in %d clusters: each stays on one side of a split",
            found.images,
            found.clusters,
        )
    if found.members is not None and found.conflicting:
        logger.warning(
            "%d clusters of near-duplicates have labels that differ, such as those of the images "
            "%s",
            found.conflicting,
            _examples(found.members),
        )
    return found


def with_clusters(pixels: DataFrame, found: NearDuplicates) -> DataFrame:
    """Add the column ``cluster`` (int): the smallest id in a row's cluster, or its own."""
    if found.members is None:
        return pixels.withColumn(CLUSTER, F.col(ID))
    members = F.broadcast(found.members.select(F.col(ID).alias(_OTHER), CLUSTER))
    return (
        pixels.join(members, pixels[ID] == members[_OTHER], "left")
        .withColumn(CLUSTER, F.coalesce(CLUSTER, ID))
        .drop(_OTHER)
    )


def list_duplicates(pixels: DataFrame, members: DataFrame) -> DataFrame:
    """List the clusters, for people to look at.

    Args:
        pixels: ``id``, ``path`` and ``label``.
        members: As in ``NearDuplicates``.

    Returns:
        ``cluster``, ``id``, ``path``, ``label`` and ``conflicting``, in this order.
    """
    return (
        pixels.select(ID, PATH, LABEL)
        .join(F.broadcast(members), ID)
        .select(CLUSTER, ID, PATH, LABEL, CONFLICTING)
        .orderBy(CLUSTER, ID)
    )


def _hasher(
    height: int, width: int
) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def hash_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            pixels = np.frombuffer(b"".join(batch.column(PIXELS).to_pylist()), np.uint8)
            hashes = hash_pixels(pixels.reshape(-1, height, width))
            yield pa.RecordBatch.from_arrays(
                [batch.column(ID), batch.column(LABEL), *(pa.array(word) for word in hashes.T)],
                names=[ID, LABEL, *HASH_WORDS],
            )

    return hash_batches


def _in_driver(hashed: DataFrame) -> NearDuplicates:
    """Compare the hashes of at most ``MOST_IN_DRIVER`` rows in this process."""
    table = hashed.toArrow().sort_by(ID)
    ids, labels, *words = (table[name].to_numpy() for name in (ID, LABEL, *HASH_WORDS))
    places = cluster_places(np.stack(words, axis=1))
    sizes = np.bincount(places, minlength=len(ids))
    limit = _limit(len(ids))
    if (sizes > limit).any():
        _warn_of_large(int((sizes > limit).sum()), int(sizes.max()), limit, len(ids))
    kept = np.flatnonzero((sizes[places] > 1) & (sizes[places] <= limit))
    positives = np.bincount(places, weights=labels, minlength=len(ids))
    conflicting = (positives > 0) & (positives < sizes)
    if not len(kept):
        return NearDuplicates(None, 0, 0, 0)
    rows = pa.table(
        {
            ID: ids[kept],
            CLUSTER: ids[places[kept]],
            CONFLICTING: conflicting[places[kept]],
        }
    )
    in_use = np.unique(places[kept])
    return NearDuplicates(
        members=hashed.sparkSession.createDataFrame(rows),
        images=len(kept),
        clusters=len(in_use),
        conflicting=int(conflicting[in_use].sum()),
    )


def _in_spark(hashed: DataFrame) -> NearDuplicates:
    """Compare the hashes of any number of rows in Spark."""
    hashed = hashed.persist()
    try:
        total = hashed.count()
        # Equal hashes count once: a thousand of them would be half a million near pairs.
        distinct = hashed.groupBy(*HASH_WORDS).agg(F.min(ID).alias(FIRST))
        components = cluster_in_spark(distinct)
        by_word = [distinct[word] == hashed[word] for word in HASH_WORDS]
        places = (
            hashed.join(distinct, by_word)
            .select(hashed[ID], hashed[LABEL], distinct[FIRST])
            .join(components.select(FIRST, CLUSTER), FIRST, "left")
            .select(ID, LABEL, F.coalesce(CLUSTER, FIRST).alias(CLUSTER))
        )
        by_cluster = Window.partitionBy(CLUSTER)
        checkpoint = (
            places.withColumn(_SIZE, F.count("*").over(by_cluster))
            .where(F.col(_SIZE) > 1)
            .withColumn(CONFLICTING, F.min(LABEL).over(by_cluster) < F.max(LABEL).over(by_cluster))
            .select(ID, CLUSTER, CONFLICTING, _SIZE)
            # Small, and from here without the pixels and the comparison behind it.
            .localCheckpoint()
        )
        release(components)
    finally:
        hashed.unpersist()
    limit = _limit(total)
    large, largest = checkpoint.agg(
        F.count_distinct(F.when(F.col(_SIZE) > limit, F.col(CLUSTER))), F.max(_SIZE)
    ).collect()[0]
    if large:
        _warn_of_large(large, largest, limit, total)
    members = checkpoint.where(F.col(_SIZE) <= limit).drop(_SIZE)
    images, clusters, conflicting = members.agg(
        F.count("*"),
        F.count_distinct(CLUSTER),
        F.count_distinct(F.when(F.col(CONFLICTING), F.col(CLUSTER))),
    ).collect()[0]
    if not images:
        release(checkpoint)
        return NearDuplicates(None, 0, 0, 0)
    return NearDuplicates(members, images, clusters, conflicting, checkpoint)


def _examples(members: DataFrame) -> str:
    rows = members.where(CONFLICTING).orderBy(CLUSTER, ID).limit(_MEMBERS_NAMED).collect()
    return ", ".join(str(row[ID]) for row in rows if row[CLUSTER] == rows[0][CLUSTER])


def _limit(rows: int) -> int:
    return max(LARGEST_COUNT, int(LARGEST_FRACTION * rows))


def _warn_of_large(clusters: int, largest: int, limit: int, rows: int) -> None:
    logger.warning(
        "%d clusters of near-duplicates are not kept together, the largest of %d images: more "
        "than %d of %d are no copies of one picture, but pictures too alike to be told apart",
        clusters,
        largest,
        limit,
        rows,
    )
