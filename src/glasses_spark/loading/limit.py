"""Seeded choice of a limited number of images for a quick run."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import ID, LABEL


def limit_condition(labels: DataFrame, sizes: Mapping[float, int], limit: int, seed: int) -> Column:
    """Return the condition on ``id`` and ``label`` that keeps ``limit`` images.

    Of each label it keeps the images with the smallest hashes of seed and id, so that
    neither the order of the files nor the partitions matter.

    Args:
        labels: ``id`` and ``label`` of all images.
        sizes: Number of images by label.
        limit: Number of images to keep, from the number of labels up to that of images.
        seed: Seed of the hashes.
    """
    # The name makes this choice independent of the train / test split by the same seed:
    # otherwise a limit would keep mostly images of one part.
    mixed = F.xxhash64(F.lit(seed).cast("bigint"), F.lit("limit"), F.col(ID).cast("bigint"))
    condition = F.lit(False)
    for label, quota in _quotas(sizes, limit).items():
        smallest = labels.where(F.col(LABEL) == label).select(mixed.alias("mixed"))
        largest = smallest.orderBy("mixed").limit(quota).agg(F.max("mixed")).collect()[0][0]
        # No two ids have the same hash: xxhash64 of eight bytes is a permutation.
        condition = condition | ((F.col(LABEL) == label) & (mixed <= largest))
    return condition


def _quotas(sizes: Mapping[float, int], limit: int) -> dict[float, int]:
    """Divide ``limit`` among the labels in proportion to their sizes, at least one each."""
    total = sum(sizes.values())
    quotas = {label: max(1, round(limit * size / total)) for label, size in sizes.items()}
    # The largest label absorbs the rounding error.
    largest = max(sizes, key=lambda label: (sizes[label], label))
    quotas[largest] += limit - sum(quotas.values())
    return quotas
