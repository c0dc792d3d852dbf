"""Limit: a seeded choice of fewer images for a quick try."""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import ID, LABEL


def choose_below_limit(
    labels: DataFrame, sizes: Mapping[float, int], limit: int, seed: int
) -> Column:
    """Make the condition on ``id`` and ``label`` that leaves ``limit`` images.

    Of each label the images with the smallest hashes stay. Neither the order of the
    files nor the partitions matter.
    """
    # The name keeps this draw apart from the train / test split by the same seed:
    # otherwise a limit would take mostly images of one part.
    mixed = F.xxhash64(F.lit(seed).cast("bigint"), F.lit("limit"), F.col(ID).cast("bigint"))
    condition = F.lit(False)
    for label, quota in _quotas(sizes, limit).items():
        smallest = labels.where(F.col(LABEL) == label).select(mixed.alias("mixed"))
        largest = smallest.orderBy("mixed").limit(quota).agg(F.max("mixed")).collect()[0][0]
        # No two ids have one hash: xxhash64 of eight bytes is a permutation.
        condition = condition | ((F.col(LABEL) == label) & (mixed <= largest))
    return condition


def _quotas(sizes: Mapping[float, int], limit: int) -> dict[float, int]:
    """Share ``limit`` among the labels by their sizes, at least one for each."""
    total = sum(sizes.values())
    quotas = {label: max(1, round(limit * size / total)) for label, size in sizes.items()}
    # What rounding gave too much or too little, the largest label evens out.
    largest = max(sizes, key=lambda label: (sizes[label], label))
    quotas[largest] += limit - sum(quotas.values())
    return quotas
