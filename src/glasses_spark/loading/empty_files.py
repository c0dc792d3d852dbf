"""Empty files: those that Spark's file sources hide, found again."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

from glasses_spark.columns import PATH
from glasses_spark.errors import ImagesError

# Spark's URL-encoded name of a file.
FILE_PATH: Final = "file_path"

# They are named in the driver. So many mean a broken copy, not a few bad images.
MAX_EMPTY_FILES: Final = 10_000

_EXAMPLES: Final = 3


def find_empty_files(images: DataFrame, scanned: DataFrame) -> DataFrame:
    """Find the files of length 0, which no scan of Spark returns.

    A broken copy leaves such files behind. Without this they would vanish without
    a trace: neither used nor counted nor put aside.

    Args:
        images: Frame of a file source that Spark just listed.
        scanned: ``file_path`` of each file that a scan of it returns; counted, so
            best cached.

    Returns:
        ``path`` (not URL-encoded) and ``file_path`` of each other file.

    Raises:
        ImagesError: There are more than ``MAX_EMPTY_FILES``.
    """
    spark = images.sparkSession
    if not hides_files(images, scanned.count()):
        return no_files(spark)
    # Listed as file:///faces/1.png, scanned as file:/faces/1.png.
    listed = sorted(re.sub(r"^([^:/]+):///", r"\1:/", name) for name in images.inputFiles())
    names = spark.createDataFrame(pa.table({FILE_PATH: listed}))
    missing = names.join(scanned.select(FILE_PATH), FILE_PATH, "left_anti").orderBy(FILE_PATH)
    empty = [row[FILE_PATH] for row in missing.take(MAX_EMPTY_FILES + 1)]
    if len(empty) > MAX_EMPTY_FILES:
        examples = ", ".join(unquote(name) for name in empty[:_EXAMPLES])
        raise ImagesError(
            f"more than {MAX_EMPTY_FILES} image files are empty: {examples}, ... Copy the images "
            "again"
        )
    return _frame(spark, empty)


def hides_files(images: DataFrame, count: int) -> bool:
    """Tell whether a scan, which returned ``count`` files, hides some of those listed."""
    # Asked of Java, where the names are: bringing them all here takes 60 us a file.
    return len(images._jdf.inputFiles()) != count


def no_files(spark: SparkSession) -> DataFrame:
    """What ``find_empty_files`` returns where there are none."""
    return _frame(spark, [])


def _frame(spark: SparkSession, names: list[str]) -> DataFrame:
    table = pa.table(
        [
            pa.array([unquote(name) for name in names], pa.string()),
            pa.array(names, pa.string()),
        ],
        names=[PATH, FILE_PATH],
    )
    return spark.createDataFrame(table)
