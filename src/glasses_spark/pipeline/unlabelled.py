"""Unlabelled images: decoded for prediction."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from glasses_spark.config.config import Config

# Modules that import pyspark are imported in the functions: an external Spark, named by
# SPARK_HOME, has its own pyspark, which is found when the session is built.
if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def decode_unlabelled(spark: SparkSession, locations: list[str], config: Config) -> DataFrame:
    """Decode images for prediction; their names need no numbers.

    Args:
        spark: Running session.
        locations: Files, folders, globs or URIs.
        config: Size of the images and pattern of the file names in folders.

    Returns:
        ``path``, ``id`` (null), ``label`` (null) and ``pixels`` of the images that can be
        decoded, persisted.
    """
    from functools import reduce

    from pyspark.sql import DataFrame
    from pyspark.sql import functions as F

    from glasses_spark.columns import CONTENT, ID, LABEL, PATH
    from glasses_spark.loading.images import open_images
    from glasses_spark.preprocessing.pixels import to_pixels
    from glasses_spark.preprocessing.quarantine import quarantine_images
    from glasses_spark.runtime.location import data_path, is_on_disk

    files = [location for location in locations if Path(location).is_file()]
    frames = [
        open_images(spark, location, glob=config.data.glob)
        for location in locations
        if location not in files
    ]
    if files:
        paths = [data_path(spark, file) for file in files]
        frames.append(spark.read.format("binaryFile").load(paths))
    # Files on disk are opened by the tasks; Spark reads the contents of all others.
    on_disk = all(is_on_disk(spark, location) for location in locations)
    unlabelled = reduce(DataFrame.unionByName, frames).select(
        PATH,
        F.lit(None).cast("int").alias(ID),
        F.lit(None).cast("double").alias(LABEL),
        *([] if on_disk else [CONTENT]),
    )
    image = config.image
    pixels = to_pixels(unlabelled, height=image.height, width=image.width).persist()
    # Images that cannot be decoded are named in the log; the others are predicted.
    return quarantine_images(pixels, max_bad_fraction=1.0).good
