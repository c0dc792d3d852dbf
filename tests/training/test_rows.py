"""Tests for glasses_spark.training.rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from glasses_spark.errors import TrainingError
from glasses_spark.training.rows import LabelCode, label_length, records, target_column
from glasses_spark.training.worker.texts import Texts
from tests.training.tiny import arrow_rows, row_format, separable


def test_labels_without_classes_are_kept() -> None:
    assert LabelCode(None, 1).encode(np.array([[0.0], [0.5]]), "float32").tolist() == [[0.0], [0.5]]


def test_class_numbers_become_one_hot_rows() -> None:
    encoded = LabelCode(3, 3).encode(np.array([[2.0], [0.0]]), "float32")
    assert encoded.tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (np.nan, "labels: expected finite numbers, got NaN"),
        (3.0, "labels: expected whole numbers from 0 to 2 .*, got 3"),
        (0.5, "labels: expected whole numbers from 0 to 2 .*, got 0.5"),
    ],
)
def test_a_label_that_is_no_class_is_refused(label: float, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        LabelCode(3, 3).encode(np.array([[1.0], [label]]), "float32")


def test_an_arrow_batch_becomes_rows_of_the_file() -> None:
    x, y = separable(4)
    rows = records(arrow_rows(x.astype(np.float32), y), row_format(), [LabelCode(None, 1)], Texts())
    assert np.array_equal(rows["x"], x.astype(np.float32))
    assert np.array_equal(rows["y"], y.astype(np.float32))
    assert rows["weight"].tolist() == [1.0] * 4


@pytest.mark.parametrize("weight", [-1.0, float("nan")])
def test_a_weight_that_is_negative_or_not_finite_is_refused(weight: float) -> None:
    x, y = separable(2)
    batch: Any = arrow_rows(x.astype(np.float32), y)
    index = batch.schema.get_field_index("weight")
    batch = batch.set_column(index, "weight", pa.array([1.0, weight], pa.float32()))
    with pytest.raises(TrainingError, match="weights: expected a finite number >= 0"):
        records(batch, row_format(), [LabelCode(None, 1)], Texts())


def test_a_column_of_text_is_no_label(spark: SparkSession) -> None:
    frame = spark.createDataFrame([("yes",)], "label string")
    with pytest.raises(TrainingError, match=r"column 'label': expected a number, .*, got string"):
        target_column(frame, "label")
    with pytest.raises(TrainingError, match="expected a column 'target', got the columns label"):
        target_column(frame, "target")


def test_labels_have_the_length_of_those_of_the_first_row(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(1, [1, 2, 0])], "number int, word array<int>")
    assert [label_length(frame, name) for name in frame.columns] == [1, 3]
    assert label_length(frame.where("false"), "word") == 1  # the fit then misses rows
