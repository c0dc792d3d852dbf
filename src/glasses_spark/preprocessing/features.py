"""Features: pixels as Spark ML vectors in [0, 1]."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.ml.functions import array_to_vector
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.functions import pandas_udf

from glasses_spark.columns import (
    CONTENT,
    FEATURES,
    ID,
    LABEL,
    LENGTH,
    MODIFICATION_TIME,
    PATH,
    PIXELS,
)
from glasses_spark.preprocessing.decoding.batches import (
    decoded,
    settle_in,
    viewed_file,
)
from glasses_spark.preprocessing.pixels import check_size, warn_of_large_batches

_WHITE: Final = 255.0


def to_features(frame: DataFrame, *, height: int = 128, width: int = 128) -> DataFrame:
    """Decode each image into a Spark ML vector, for other estimators of Spark ML.

    A vector takes ``8 * height * width`` bytes, 131 KB at the default size, where the
    pixels of ``to_pixels`` take 16 KB: our own training does without.

    Args:
        frame: ``path``, ``modificationTime``, ``length``, ``content``, ``id``, ``label``.
        height: Rows of the image, at least 1.
        width: Columns of the image, at least 1.

    Returns:
        The same columns and ``features``: a DenseVector of ``height * width`` doubles in
        [0, 1], row by row; null where the image cannot be decoded (see ``to_pixels``
        for the reason).
    """
    check_size(height, width)
    warn_of_large_batches(frame)
    # A column UDF, not mapInArrow: only the content goes to Python, and comes not back.
    return frame.select(
        PATH,
        MODIFICATION_TIME,
        LENGTH,
        CONTENT,
        ID,
        LABEL,
        _vector(_scaled_content(height, width)(CONTENT)).alias(FEATURES),
    )


def pixels_to_features(frame: DataFrame) -> DataFrame:
    """Add the Spark ML vector made of the pixels.

    Args:
        frame: Any frame with the column ``pixels`` (binary).

    Returns:
        The same columns and ``features``, a DenseVector of as many doubles in [0, 1]
        as ``pixels`` has bytes; null where ``pixels`` is null.
    """
    return frame.withColumn(FEATURES, _vector(_scaled_pixels()(PIXELS)))


def _scaled_content(height: int, width: int) -> Callable[[str], Column]:
    def scaled(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        settle_in()
        for contents in batches:
            pixels, _ = decoded(pa.array(contents, pa.binary()), height, width, viewed_file)
            yield _scaled_series(pixels)

    return _array_udf(scaled)


def _scaled_pixels() -> Callable[[str], Column]:
    def scaled(pixels: pd.Series) -> pd.Series:
        return _scaled_series(list(pixels))

    return _array_udf(scaled)


def _array_udf(function: Any) -> Callable[[str], Column]:
    # PySpark's types know no UDF of Iterator[Series] that comes without a decorator.
    make_udf: Any = pandas_udf
    udf: Callable[[str], Column] = make_udf(function, "array<double>")
    return udf


def _scaled_series(pixels: list[bytes | None]) -> pd.Series:
    return pd.Series(
        [None if row is None else np.frombuffer(row, np.uint8) / _WHITE for row in pixels],
        dtype=object,
    )


def _vector(values: Column) -> Column:
    # array_to_vector fails on a null.
    return F.when(values.isNotNull(), array_to_vector(values))
