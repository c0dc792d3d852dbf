"""Preprocessing: Spark around the decoder, and the quarantine of what cannot be decoded."""

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
from glasses_spark.preprocessing.decoding.batches import (
    SOURCE,
    pixels_decoder,
)

logger = logging.getLogger(__name__)

# What one Arrow batch may hold while a row holds a whole image file: 1,024 faces of
# the Kaggle set are 1.2 GB.
_MANY_RECORDS: Final = 1024
_RECORDS_KEY: Final = "spark.sql.execution.arrow.maxRecordsPerBatch"

# What the tasks can tell of files that they open.
_TOLD: Final = {
    LENGTH: StructField(LENGTH, LongType()),
    MODIFICATION_TIME: StructField(MODIFICATION_TIME, TimestampType()),
}


def to_pixels(frame: DataFrame, *, height: int = 128, width: int = 128) -> DataFrame:
    """Decode each image to grey and resize it.

    An image that cannot be decoded stays, with an error in place of pixels. The
    content does not go on: from here a face takes ``height * width`` bytes.

    Args:
        frame: ``path``, ``id``, ``label`` and ``content`` (a whole PNG file); where there
            is no ``content``, the task opens the file at ``path``, on a disk that it has.
        height: Rows of the result, at least 1.
        width: Columns of the result, at least 1.

    Returns:
        ``path``, ``id`` (int), ``label`` (double), ``pixels`` (binary, ``height * width``
        bytes, uint8 grey row by row; null where the image cannot be decoded) and
        ``error`` (string, the reason; null where it can).
    """
    return decode_contents(frame, [PATH, ID, LABEL], height=height, width=width)


def decode_contents(frame: DataFrame, kept: Sequence[str], *, height: int, width: int) -> DataFrame:
    """Put pixels, or an error, in place of the content of each image.

    Args:
        frame: The columns to keep, and ``content`` or, to be opened, ``path``. The
            ``length`` and ``modificationTime`` of files that are to be opened may be
            missing: they are told as they are then.
        kept: Names of the columns to keep, in the order of the result.
        height: Rows of the result, at least 1.
        width: Columns of the result, at least 1.

    Returns:
        The kept columns, ``pixels`` and ``error``, as ``to_pixels`` has them.
    """
    check_size(height, width)
    opened = CONTENT not in frame.columns
    if not opened:
        warn_of_large_batches(frame)
    told = [name for name in _TOLD if opened and name in kept and name not in frame.columns]
    there = [name for name in kept if name not in told]
    rows = frame.select(*there, F.col(PATH if opened else CONTENT).alias(SOURCE))
    schema = StructType(
        [
            *rows.schema.fields[:-1],
            *(_TOLD[name] for name in told),
            StructField(PIXELS, BinaryType()),
            StructField(ERROR, StringType()),
        ]
    )
    decode = pixels_decoder(height, width, opened=opened, told=told)
    return rows.mapInArrow(decode, schema).select(*kept, PIXELS, ERROR)


def check_size(height: int, width: int) -> None:
    for key, size in (("image.height", height), ("image.width", width)):
        if size < 1:
            raise ConfigError(f"{key} is {size}: give a number of pixels from 1 up")


def warn_of_large_batches(frame: DataFrame) -> None:
    """Say so when a session that is not ours would gather gigabytes in one batch."""
    records = int(frame.sparkSession.conf.get(_RECORDS_KEY, "0") or 0)
    if not 0 < records <= _MANY_RECORDS:
        logger.warning(
            "%s is %d: a Python worker may hold so many image files at once. Set it to 64",
            _RECORDS_KEY,
            records,
        )
