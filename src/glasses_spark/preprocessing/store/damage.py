"""Damage to a pixel store: pixels of another size, and the file that an error of Spark names."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import FILE_PATH, PIXELS

# A file in a segment, in any message and any form of its path.
_FILE: Final = re.compile(r"((?:base|delta)-\d{6,}-[0-9a-f]{8})/(part-[\w.-]*[\w])")


def checked_pixels(rows: DataFrame, size: int) -> DataFrame:
    """Let a query fail that uses pixels of another size; the error names their file.

    Args:
        rows: Rows read from Parquet, with the column ``pixels``.
        size: Bytes of the pixels of an image.
    """
    message = F.concat(
        F.col(f"_metadata.{FILE_PATH}"),
        F.lit(": an image has "),
        F.length(PIXELS).cast("string"),
        F.lit(f" bytes of pixels, wanted {size}"),
    )
    is_valid = F.col(PIXELS).isNull() | (F.length(PIXELS) == size)
    pixels = F.when(is_valid, F.col(PIXELS)).otherwise(F.raise_error(message).cast("binary"))
    return rows.withColumn(PIXELS, pixels)


def damaged_file(error: BaseException, segments: Collection[str]) -> str | None:
    """Return the file of a segment that an error of Spark names, as ``SEGMENT/FILE``.

    Args:
        error: Any exception.
        segments: Names of the segments that may be meant.
    """
    current: BaseException | None = error
    while current is not None:
        for segment, file in _FILE.findall(str(current)):
            if segment in segments:
                return f"{segment}/{file}"
        current = current.__cause__
    return None
