"""Tests for glasses_spark.scoring.features."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.ml.linalg import Vectors
from pyspark.mllib.linalg import Vectors as MLlibVectors
from pyspark.sql import SparkSession

from glasses_spark.errors import DataError
from glasses_spark.scoring.features import features_column, matrix


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        pytest.param(Vectors.dense([1.0, 0.0]), "float32", "float32", id="vector"),
        pytest.param(Vectors.sparse(2, {0: 1.0}), "float64", "float64", id="sparse vector"),
        pytest.param(MLlibVectors.dense([1.0, 0.0]), "float32", "float32", id="MLlib vector"),
        pytest.param([1.0, 0.0], "float32", "float32", id="array of doubles"),
        pytest.param([1, 0], "float64", "float64", id="array of integers"),
        pytest.param(bytearray([1, 0]), "float32", "uint8", id="pixels"),
    ],
)
def test_each_type_of_features_is_converted_to_numbers(
    spark: SparkSession, value: Any, dtype: str, expected: str
) -> None:
    frame = spark.createDataFrame([(value,)], ["my features"])
    column, numbers = features_column(frame, "my features", dtype)
    assert numbers == expected
    (row,) = frame.select(column.alias("x")).collect()
    assert list(row.x) == [1, 0]


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [
        pytest.param(2.5, "float32", [2.5], id="double"),
        pytest.param(2**53 + 1, "int64", [2**53 + 1], id="bigint"),
        pytest.param("a", "string", ["a"], id="string"),
        pytest.param(["a", "b"], "string", ["a", "b"], id="array of strings"),
    ],
)
def test_one_value_becomes_an_array_and_null_stays_null(
    spark: SparkSession, value: Any, dtype: str, expected: list[Any]
) -> None:
    frame = spark.createDataFrame([(1, value), (2, None)], ["row", "x"])
    column, kind = features_column(frame, "x", dtype)
    assert kind == dtype
    rows = frame.orderBy("row").select(column.alias("x")).collect()
    assert [row.x for row in rows] == [expected, None]


def test_a_number_for_an_input_of_several_is_refused(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(1.0, "a")], ["x", "word"])
    with pytest.raises(DataError, match=r"column 'x': expected pixels .* of 3 numbers, got double"):
        features_column(frame, "x", "float32", size=3)
    with pytest.raises(DataError, match="'word': expected an array of 2 strings for the input 'w'"):
        features_column(frame, "word", "string", size=2, input_name="w")


def test_a_missing_column_is_named(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(1, 2)], ["a", "b"])
    with pytest.raises(DataError, match="features column 'x' not found, the columns are a, b"):
        features_column(frame, "x", "float32")


def test_a_column_of_another_type_is_refused(spark: SparkSession) -> None:
    frame = spark.createDataFrame([("a",)], ["features"])
    with pytest.raises(DataError, match=r"expected pixels .* got string"):
        features_column(frame, "features", "float32")


@pytest.mark.parametrize(
    ("column", "dtype"),
    [
        pytest.param(pa.array([b"\x01\x02", b"\x03\x04"]), np.uint8, id="binary"),
        pytest.param(pa.array([b"\x01\x02", b"\x03\x04"], pa.large_binary()), np.uint8, id="large"),
        pytest.param(pa.array([[1, 2], [3, 4]], pa.list_(pa.float32())), np.float32, id="list"),
        pytest.param(pa.array([[9, 9], [1, 2], [3, 4]])[1:], np.int64, id="slice of lists"),
        pytest.param(pa.array([b"\x09\x09", b"\x01\x02", b"\x03\x04"])[1:], np.uint8, id="slice"),
    ],
)
def test_an_arrow_column_becomes_a_matrix(column: Any, dtype: Any) -> None:
    rows = matrix(column, 2, "features")
    assert rows.dtype == dtype
    assert rows.tolist() == [[1, 2], [3, 4]]


def test_an_empty_column_becomes_an_empty_matrix() -> None:
    assert matrix(pa.array([], pa.binary()), 2, "features").shape == (0, 2)


def test_a_null_in_an_array_is_an_error() -> None:
    with pytest.raises(DataError, match="features: expected a value in every row, got 1 nulls"):
        matrix(pa.array([[1.0, None]]), 2, "features")


def test_a_null_is_an_error() -> None:
    with pytest.raises(DataError, match="labels: expected a value in every row, got 1 nulls"):
        matrix(pa.array([b"\x01", None]), 1, "labels")


def test_a_row_of_another_length_is_an_error() -> None:
    with pytest.raises(DataError, match="features: expected 2 numbers in every row, got 3"):
        matrix(pa.array([b"\x01\x02", b"\x01\x02\x03"]), 2, "features")
