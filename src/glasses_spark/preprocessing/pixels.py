"""Decoding of a frame of image files to pixels, in Spark."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    BinaryType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from glasses_spark.columns import (
    CONTENT,
    ERROR,
    ID,
    LABEL,
    LENGTH,
    MODIFICATION_TIME,
    PATH,
    PIXELS,
)
from glasses_spark.errors import ConfigError
from glasses_spark.preprocessing.decoding.batches import SOURCE, make_decoder
from glasses_spark.runtime.spark_settings import ARROW_BATCH
from glasses_spark.runtime.workers import driver_python

logger = logging.getLogger(__name__)

# Largest number of image files in one Arrow batch: 1,024 of the Kaggle set take 1.2 GB.
_MANY_RECORDS: Final = 1024

# The columns that tasks can add from the files that they open.
_STATE_FIELDS: Final = {
    LENGTH: StructField(LENGTH, LongType()),
    MODIFICATION_TIME: StructField(MODIFICATION_TIME, TimestampType()),
}


def to_pixels(frame: DataFrame, *, height: int = 128, width: int = 128) -> DataFrame:
    """Decode each image to grey and resize it.

    An image that cannot be decoded keeps its row, with an error in place of pixels. The
    content is dropped: each row then takes ``height * width`` bytes.

    Args:
        frame: ``path``, ``id``, ``label`` and ``content`` (a complete PNG file); without
            ``content`` the tasks open the files at ``path`` on their disks.
        height: Rows of the result, at least 1.
        width: Columns of the result, at least 1.

    Returns:
        ``path``, ``id`` (int), ``label`` (double), ``pixels`` (binary, ``height * width``
        bytes, uint8 grey row by row; null if the image cannot be decoded) and ``error``
        (string, the reason; else null).

    Raises:
        ConfigError: Height or width is below 1.
    """
    return decode_contents(frame, [PATH, ID, LABEL], height=height, width=width)


def decode_contents(
    frame: DataFrame, columns: Sequence[str], *, height: int, width: int
) -> DataFrame:
    """Replace the content of each image by its pixels, or by an error.

    Args:
        frame: ``content``, or ``path`` of the files to open, and the other columns of the
            result. For files to open, ``length`` and ``modificationTime`` may be missing:
            they are read when the file is opened.
        columns: Names of the columns to keep, in the order of the result.
        height: Rows of the result, at least 1.
        width: Columns of the result, at least 1.

    Returns:
        These columns, ``pixels`` and ``error``, as in ``to_pixels``.

    Raises:
        ConfigError: Height or width is below 1.
    """
    check_size(height, width)
    from_paths = CONTENT not in frame.columns
    if not from_paths:
        warn_about_large_batches(frame)
    missing = [name for name in columns if name not in frame.columns]
    state_columns = [name for name in _STATE_FIELDS if from_paths and name in missing]
    present = [name for name in columns if name not in state_columns]
    rows = frame.select(*present, F.col(PATH if from_paths else CONTENT).alias(SOURCE))
    schema = StructType(
        [
            *rows.schema.fields[:-1],
            *(_STATE_FIELDS[name] for name in state_columns),
            StructField(PIXELS, BinaryType()),
            StructField(ERROR, StringType()),
        ]
    )
    decode = make_decoder(height, width, from_paths=from_paths, state_columns=state_columns)
    with driver_python(frame.sparkSession):
        decoded = rows.mapInArrow(decode, schema)
    return decoded.select(*columns, PIXELS, ERROR)


def check_size(height: int, width: int) -> None:
    """Raise ConfigError if the height or the width of the pixels is below 1."""
    for key, size in (("image.height", height), ("image.width", width)):
        if size < 1:
            raise ConfigError(f"{key} is {size}: give at least 1 pixel")


def warn_about_large_batches(frame: DataFrame) -> None:
    """Log a warning if a session configured elsewhere may put gigabytes into one batch."""
    records = int(frame.sparkSession.conf.get(ARROW_BATCH, "0") or 0)
    if not 0 < records <= _MANY_RECORDS:
        logger.warning(
            "%s is %d: a Python worker may hold that many image files in memory. Set it to 64",
            ARROW_BATCH,
            records,
        )
