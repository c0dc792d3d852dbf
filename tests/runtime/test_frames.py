"""Tests for glasses_spark.runtime.frames."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from glasses_spark.errors import ConfigError, DataError, TrainingError
from glasses_spark.runtime.frames import named_column, require_frame


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (pd.DataFrame(), "got a pandas DataFrame. Make one of it with spark.createDataFrame$"),
        ((1, 2), "got a tuple of 2. Put features and labels into two columns"),
        ([], "got a list of 0. Put features"),
        (np.zeros(3), "got a numpy ndarray. Put features"),
        (None, "got None. "),
        ("/data/rows", "got a str. Read the rows with spark.read$"),
    ],
)
def test_what_is_no_frame_is_refused(value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=f"^fit: expected a Spark DataFrame, {message}"):
        require_frame(value, "fit")


def test_parts_of_spark_that_are_no_frames_are_refused(spark: SparkSession) -> None:
    frame = spark.range(3)
    with pytest.raises(ConfigError, match=r"got a pyspark RDD. Make one of it with"):
        require_frame(frame.rdd, "fit")
    with pytest.raises(ConfigError, match=r"got a pyspark GroupedData. Aggregate the groups first"):
        require_frame(frame.groupBy("id"), "fit")
    require_frame(frame, "fit")


def test_a_stream_is_refused_where_rows_must_end(spark: SparkSession) -> None:
    stream = spark.readStream.format("rate").load()
    with pytest.raises(ConfigError, match=r"^fit: expected a DataFrame with an end"):
        require_frame(stream, "fit")
    require_frame(stream, "transform", stream=True)


def test_a_missing_column_is_refused_with_those_there_are(spark: SparkSession) -> None:
    with pytest.raises(
        DataError, match=r"^weight column 'w' not found, the columns are id. Set weightCol to one"
    ):
        named_column(spark.range(3), "w", "weight", "weightCol")


@pytest.mark.parametrize("other", ["x", "X"])
def test_columns_of_one_name_are_refused(spark: SparkSession, other: str) -> None:
    frame = spark.range(3).select(F.col("id").alias("x"), (F.col("id") + 1).alias(other))
    with pytest.raises(
        TrainingError,
        match=rf"^label column 'x': expected one column of this name, got 2: x, {other}. Drop",
    ) as caught:
        named_column(frame, "x", "label", "labelCol", TrainingError)
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize("name", ["a.b", "a`b", "a b", "ä"])
def test_any_name_is_found(spark: SparkSession, name: str) -> None:
    frame = spark.range(1).toDF(name)
    assert frame.select(named_column(frame, name, "label", "labelCol")).first() == (0,)
