"""Preparation of the pixel store: verify it, decode what is missing, remove what is unused."""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql import SparkSession

from glasses_spark.config.config import Config
from glasses_spark.errors import ConfigError
from glasses_spark.loading.dataset import Dataset
from glasses_spark.pipeline.pixels import DecodedPixels, data_counts, open_store
from glasses_spark.preprocessing.quarantine import reason_counts
from glasses_spark.runs.result import Prepared


def prepare_store(
    spark: SparkSession,
    config: Config,
    load: Callable[[SparkSession], Dataset],
    decode: Callable[[Dataset], DecodedPixels],
    *,
    verify: bool,
    vacuum: bool,
) -> Prepared:
    """Update the pixel store of a configuration; see ``GlassesPipeline.prepare``.

    Args:
        spark: Running session.
        config: Configuration of the store.
        load: Lists the images.
        decode: Updates the store.
        verify: Whether to read all stored rows first.
        vacuum: Whether to remove at the end what no run uses.

    Raises:
        ConfigError: There is no store.
    """
    store = open_store(spark, config)
    if store is None:
        raise ConfigError(
            "store.dir: expected a folder for the pixel store that driver and executors reach, "
            f'got "{config.store.dir}"'
        )
    damaged = store.verify() if verify else []
    dataset = load(spark)
    pixels = decode(dataset)
    pixels.release()
    return Prepared(
        data_counts(dataset, pixels, config),
        pixels.decoded,
        pixels.reused,
        reason_counts(pixels.images.quarantine),
        damaged=tuple(damaged),
        removed=len(store.vacuum()) if vacuum else 0,
    )
