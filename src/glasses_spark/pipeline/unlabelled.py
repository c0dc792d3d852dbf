"""Unlabelled images, decoded for prediction."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from glasses_spark.config.config import Config

# Whatever imports pyspark or TensorFlow is imported within the functions, so that
# a wrong call is refused at once, and pyspark only once the session is there:
# an external Spark, named by SPARK_HOME, brings its own.
if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def decode_unlabelled(spark: SparkSession, locations: list[str], config: Config) -> DataFrame:
    """Decode images, whatever their names, to ``path``, ``id``, ``label`` and ``pixels``."""
    from functools import reduce

    from pyspark.sql import DataFrame
    from pyspark.sql import functions as F

    from glasses_spark.columns import CONTENT, ID, LABEL, PATH
    from glasses_spark.loading.images import open_images
    from glasses_spark.preprocessing.pixels import to_pixels
    from glasses_spark.preprocessing.quarantine import quarantine_images
    from glasses_spark.runtime.location import is_on_disk, spark_path

    files = [one for one in locations if Path(one).is_file()]
    frames = [
        open_images(spark, one, glob=config.data.glob) for one in locations if one not in files
    ]
    if files:
        frames.append(spark.read.format("binaryFile").load([spark_path(one) for one in files]))
    opened = all(is_on_disk(spark, one) for one in locations)
    unlabelled = reduce(DataFrame.unionByName, frames).select(
        PATH,
        F.lit(None).cast("int").alias(ID),
        F.lit(None).cast("double").alias(LABEL),
        *([] if opened else [CONTENT]),
    )
    image = config.image
    pixels = to_pixels(unlabelled, height=image.height, width=image.width).persist()
    # Others may well be readable; what is not is named in the log.
    return quarantine_images(pixels, max_bad_fraction=1.0).good
