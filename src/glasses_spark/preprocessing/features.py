"""Spark ML vectors of pixels, scaled to [0, 1]."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

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
    configure_worker,
    decode_column,
    view_bytes,
)
from glasses_spark.preprocessing.pixels import check_size, warn_about_large_batches
from glasses_spark.runtime.workers import driver_python
from glasses_spark.scoring.model_input import scale_pixels


def to_features(frame: DataFrame, *, height: int = 128, width: int = 128) -> DataFrame:
    """Decode each image to a Spark ML vector, for other estimators of Spark ML.

    A vector takes ``8 * height * width`` bytes, 131 KB at the default size. The pixels of
    ``to_pixels``, which this library trains on, take 16 KB.

    Args:
        frame: ``path``, ``modificationTime``, ``length``, ``content``, ``id``, ``label``.
        height: Rows of the image, at least 1.
        width: Columns of the image, at least 1.

    Returns:
        The same columns and ``features``: a DenseVector of ``height * width`` doubles in
        [0, 1], row by row; null if the image cannot be decoded (``to_pixels`` returns the
        reason).

    Raises:
        ConfigError: Height or width is below 1.
    """
    check_size(height, width)
    warn_about_large_batches(frame)
    # A column UDF, not mapInArrow: the content goes to Python, but not back.
    with driver_python(frame.sparkSession):
        features = _vector(_scaled_content(height, width)(CONTENT)).alias(FEATURES)
    return frame.select(PATH, MODIFICATION_TIME, LENGTH, CONTENT, ID, LABEL, features)


def pixels_to_features(frame: DataFrame) -> DataFrame:
    """Add a Spark ML vector of the pixels.

    Args:
        frame: Any frame with the column ``pixels`` (binary).

    Returns:
        The same columns and ``features``, a DenseVector with one double in [0, 1] for each
        byte of ``pixels``; null where ``pixels`` is null.
    """
    with driver_python(frame.sparkSession):
        return frame.withColumn(FEATURES, _vector(_scaled_pixels()(PIXELS)))


def _scaled_content(height: int, width: int) -> Callable[[str], Column]:
    def scaled(batches: Iterator[pd.Series]) -> Iterator[pd.Series]:
        configure_worker()
        for contents in batches:
            pixels, _ = decode_column(pa.array(contents, pa.binary()), height, width, view_bytes)
            yield _scaled_series(pixels)

    return _array_udf(scaled)


def _scaled_pixels() -> Callable[[str], Column]:
    def scaled(pixels: pd.Series) -> pd.Series:
        return _scaled_series(list(pixels))

    return _array_udf(scaled)


def _array_udf(function: Any) -> Callable[[str], Column]:
    # PySpark's type hints lack a UDF of Iterator[Series] made without the decorator.
    make_udf: Any = pandas_udf
    udf: Callable[[str], Column] = make_udf(function, "array<double>")
    return udf


def _scaled_series(pixels: list[bytes | None]) -> pd.Series:
    return pd.Series(
        [None if row is None else scale_pixels(np.frombuffer(row, np.uint8)) for row in pixels],
        dtype=object,
    )


def _vector(values: Column) -> Column:
    # array_to_vector fails on nulls.
    return F.when(values.isNotNull(), array_to_vector(values))
