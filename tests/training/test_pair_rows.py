"""Tests for glasses_spark.training.pair_rows; without Spark, but for one frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pyspark.ml.linalg import Vectors
from pyspark.mllib.regression import LabeledPoint
from pyspark.sql import SparkSession

from glasses_spark.errors import DataError
from glasses_spark.training.pair_rows import (
    PairField,
    _encode_features,
    _encode_pairs,
    pair_of_point,
    pairs_frame,
    parts_of_rows,
)

IMAGE = PairField("features", "image", "features", "float32", (2, 2))
NUMBER = PairField("label", "out", "labels", "float64", (1,), is_number=True)
ROW = PairField("features_1", "row", "features of the input 'row'", "int64", (3,))
TEXT = PairField("features", "text", "features", "string", (2,))


def test_a_frame_has_the_values_types_and_order_of_the_rows(spark: SparkSession) -> None:
    big = 2**60
    rows: list[Any] = [([np.full((2, 2), i / 3), [big + i] * 3], i) for i in range(5)]
    rdd = spark.sparkContext.parallelize(rows, 3)
    frame = pairs_frame(spark, rdd, [IMAGE, ROW], [NUMBER])
    assert dict(frame.dtypes) == {
        "features": "array<float>",
        "features_1": "array<bigint>",
        "label": "double",
    }
    for i, row in enumerate(frame.collect()):
        assert row.features == [pytest.approx(i / 3)] * 4
        assert (row.features_1, row.label) == ([big + i] * 3, float(i))


def test_strings_stay_strings() -> None:
    assert list(_encode_features([TEXT], [["a", "b"], np.array(["ö", ""])])) == [
        (["a", "b"],),
        (["ö", ""],),
    ]
    with pytest.raises(DataError, match="features: expected strings, got list"):
        list(_encode_features([TEXT], [[1, 2]]))


@pytest.mark.parametrize(
    "value",
    [[1, 2, 3, 4], np.ones((2, 2), np.uint8), Vectors.dense(range(4)), [[True, False], [1, 2]]],
)
def test_features_have_many_forms(value: Any) -> None:
    ((encoded,),) = _encode_features([IMAGE], [value])
    assert len(np.frombuffer(encoded, "float32")) == 4


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.ones(3), "expected 4 values of the shape 2 x 2 in every row, got 3"),
        (None, "expected numbers in every row, got NoneType None"),
        ("abc", "expected numbers in every row, got str 'abc'"),
        (b"abcd", "expected numbers in every row, got bytes"),
        ([[1], [2, 3]], "expected an array, got list"),
        ([1, 2, None, 4], "expected numbers in every row, got list"),
    ],
)
def test_a_row_that_does_not_fit_is_named(value: Any, message: str) -> None:
    with pytest.raises(DataError, match=f"features: {message}"):
        list(_encode_features([IMAGE], [value]))


@pytest.mark.parametrize("row", [np.ones(2), 1.0, (1, 2, 3), "ab"])
def test_what_is_no_pair_is_named(row: Any) -> None:
    with pytest.raises(DataError, match=r"expected an RDD of pairs \(features, label\)"):
        list(_encode_pairs([IMAGE], [NUMBER], [row]))


def test_a_labelled_point_is_a_pair() -> None:
    point = LabeledPoint(1.0, [1, 2, 3, 4])
    assert pair_of_point(point) == (point.features, 1.0)
    assert pair_of_point(3) == 3
    with pytest.raises(DataError, match=r"got LabeledPoint\. Use GlassesSparkMLlibModel"):
        list(_encode_pairs([IMAGE], [NUMBER], [point]))


def test_several_fields_are_named_listed_or_flat() -> None:
    wanted = [np.arange(4, dtype="float32").tobytes(), np.arange(4, 7, dtype="int64").tobytes()]
    image, row = np.arange(4).reshape(2, 2), [4, 5, 6]
    for value in ([image, row], (image, row), {"row": row, "image": image}, np.arange(7)):
        assert list(_encode_features([IMAGE, ROW], [value])) == [tuple(wanted)]
    with pytest.raises(DataError, match=r"list with the values of image, row, or 4 \+ 3 values"):
        list(_encode_features([IMAGE, ROW], [np.arange(8)]))
    with pytest.raises(DataError, match="mapping with the keys image, row, got image"):
        list(_encode_features([IMAGE, ROW], [{"image": image}]))


def test_arrays_of_rows_get_the_shapes_of_the_fields() -> None:
    rows = np.arange(14).reshape(2, 7)
    first, second = parts_of_rows(rows, [IMAGE, ROW], "features")
    assert (first.shape, second.tolist()) == ((2, 2, 2), [[4, 5, 6], [11, 12, 13]])
    assert parts_of_rows(rows[:, :4], [IMAGE], "features").shape == (2, 2, 2)
    assert parts_of_rows([0, 1], [NUMBER], "labels").shape == (2,)
    assert parts_of_rows([[0], [1]], [NUMBER], "labels").shape == (2, 1)
    mapping = {"image": first, "row": second}
    assert parts_of_rows(mapping, [IMAGE, ROW], "features") is mapping
    with pytest.raises(DataError, match="features: expected 4 values"):
        parts_of_rows(rows, [IMAGE], "features")
