"""Clusters of near-duplicate images.

An image in the training set whose rescaled or recompressed copy is in the test set makes the
test result too good. A cluster contains every image that is near one of its images, so a
split by clusters keeps all copies of an image in one part.
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
    HASH_WORDS,
    cluster_hashes,
    unpersist_checkpoint,
)
from glasses_spark.preprocessing.duplicates.perceptual_hash import hash_pixels
from glasses_spark.runtime.workers import driver_python

logger = logging.getLogger(__name__)

# A larger cluster does not hold copies of one image, but images that the hash cannot tell
# apart. Keeping them together could leave a set of the split empty.
LARGEST_FRACTION: Final = 0.1
LARGEST_COUNT: Final = 10
_EXAMPLES: Final = 5
_HASHES: Final = f"{ID} int, " + ", ".join(f"{word} bigint" for word in HASH_WORDS)
_SIZE: Final = "size"
_MEMBER: Final = "member"


@dataclass(frozen=True)
class NearDuplicates:
    """Clusters of near-duplicate images.

    Attributes:
        members: One row per image in a cluster of at least two: ``id`` (int), ``cluster``
            (int, the smallest id in it) and ``conflicting`` (boolean, whether the labels in
            the cluster differ). None if there are no clusters. Valid until ``unpersist()``.
        images: Number of these images.
        clusters: Number of clusters.
        conflicting: Number of clusters whose labels differ.
        checkpoint: The local checkpoint behind ``members``, if there is one.
    """

    members: DataFrame | None
    images: int
    clusters: int
    conflicting: int
    checkpoint: DataFrame | None = field(default=None, repr=False)

    def unpersist(self) -> None:
        """Unpersist the checkpoint behind ``members``, if there is one."""
        if self.checkpoint is not None:
            unpersist_checkpoint(self.checkpoint)


def find_near_duplicates(
    pixels: DataFrame, *, count: int, height: int, width: int
) -> NearDuplicates:
    """Find near-duplicate images.

    Args:
        pixels: ``id`` (int, unique), ``label`` and ``pixels``, none of them null.
        count: Number of the images.
        height: Rows of the pixels.
        width: Columns of the pixels.

    Returns:
        The clusters, except those with more than 10 images and more than a tenth of all
        images: these images count as different, and a warning is logged.
    """
    with driver_python(pixels.sparkSession):
        hashes = pixels.select(ID, PIXELS).mapInArrow(_hasher(height, width), _HASHES)
    duplicates = _describe(pixels, cluster_hashes(hashes, count), count)
    if duplicates.clusters:
        logger.info(
            "%d images are near-duplicates, in %d clusters. Each cluster stays in one set of the "
            "split",
            duplicates.images,
            duplicates.clusters,
        )
    if duplicates.members is not None and duplicates.conflicting:
        logger.warning(
            "%d clusters of near-duplicates have different labels, for example images %s",
            duplicates.conflicting,
            _format_examples(duplicates.members),
        )
    return duplicates


def add_clusters(pixels: DataFrame, duplicates: NearDuplicates) -> DataFrame:
    """Add the column ``cluster`` (int): the smallest id in the cluster of a row, or its own id."""
    if duplicates.members is None:
        return pixels.withColumn(CLUSTER, F.col(ID))
    members = F.broadcast(duplicates.members.select(F.col(ID).alias(_MEMBER), CLUSTER))
    return (
        pixels.join(members, pixels[ID] == members[_MEMBER], "left")
        .withColumn(CLUSTER, F.coalesce(CLUSTER, ID))
        .drop(_MEMBER)
    )


def list_duplicates(pixels: DataFrame, members: DataFrame) -> DataFrame:
    """List the images of all clusters for users to inspect.

    Args:
        pixels: ``id``, ``path`` and ``label``.
        members: Members from ``NearDuplicates``.

    Returns:
        ``cluster``, ``id``, ``path``, ``label`` and ``conflicting``, ordered by cluster and
        id.
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
                [batch.column(ID), *(pa.array(word) for word in hashes.T)],
                names=[ID, *HASH_WORDS],
            )

    return hash_batches


def _describe(pixels: DataFrame, components: DataFrame | None, count: int) -> NearDuplicates:
    """Describe the clusters among ``count`` images, except the large ones."""
    if components is None:
        return NearDuplicates(None, 0, 0, 0)
    by_cluster = Window.partitionBy(CLUSTER)
    checkpoint = (
        pixels.select(ID, LABEL)
        .join(F.broadcast(components.select(ID, CLUSTER)), ID)
        .withColumn(_SIZE, F.count("*").over(by_cluster))
        .withColumn(CONFLICTING, F.min(LABEL).over(by_cluster) < F.max(LABEL).over(by_cluster))
        .select(ID, CLUSTER, CONFLICTING, _SIZE)
        # Small, and cuts the plan off from the pixels and the comparison.
        .localCheckpoint()
    )
    unpersist_checkpoint(components)
    limit = max(LARGEST_COUNT, int(LARGEST_FRACTION * count))
    is_small = F.col(_SIZE) <= limit
    images, clusters, conflicting, large, largest = checkpoint.agg(
        F.count_if(is_small),
        F.count_distinct(F.when(is_small, F.col(CLUSTER))),
        F.count_distinct(F.when(is_small & F.col(CONFLICTING), F.col(CLUSTER))),
        F.count_distinct(F.when(~is_small, F.col(CLUSTER))),
        F.max(_SIZE),
    ).collect()[0]
    if large:
        _warn_about_large_clusters(large, largest, limit, count)
    if not images:
        unpersist_checkpoint(checkpoint)
        return NearDuplicates(None, 0, 0, 0)
    members = checkpoint.where(is_small).drop(_SIZE)
    return NearDuplicates(members, images, clusters, conflicting, checkpoint)


def _format_examples(members: DataFrame) -> str:
    rows = members.where(CONFLICTING).orderBy(CLUSTER, ID).limit(_EXAMPLES).collect()
    return ", ".join(str(row[ID]) for row in rows if row[CLUSTER] == rows[0][CLUSTER])


def _warn_about_large_clusters(clusters: int, largest: int, limit: int, count: int) -> None:
    logger.warning(
        "%d clusters of near-duplicates are not kept in one set, the largest has %d images. More "
        "than %d of %d images are not copies of one image, but images too similar for the hash",
        clusters,
        largest,
        limit,
        count,
    )
