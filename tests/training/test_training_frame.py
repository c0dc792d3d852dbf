"""Tests for glasses_spark.training.training_frame."""

from __future__ import annotations

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark.errors import DataError
from glasses_spark.scoring.model_ports import InputPort
from glasses_spark.training.settings import Columns, FitSettings
from glasses_spark.training.training_frame import Selection, training_frame

COLUMNS = Columns(features=("features",), labels=("label",))


@pytest.fixture(scope="module")
def numbers(spark: SparkSession) -> DataFrame:
    """200 rows of one feature, the label and a weight."""
    return spark.range(200).select(
        F.array(F.col("id").cast("double")).alias("features"),
        (F.col("id") % 2).cast("double").alias("label"),
        F.lit(0.5).alias("w"),
        (F.col("id") < 7).alias("held_out"),
    )


def selection_of(columns: Columns, settings: FitSettings) -> Selection:
    return Selection.of(columns, settings, [InputPort("x")], dtype="float32")


def select(frame: DataFrame, columns: Columns, settings: FitSettings) -> DataFrame:
    return training_frame(frame, selection_of(columns, settings))[0]


def test_class_weights_multiply_the_weights_of_the_rows(numbers: DataFrame) -> None:
    columns = Columns(features=("features",), labels=("label",), weight="w")
    settings = FitSettings(class_weight={1.0: 3.0})  # type: ignore[dict-item]
    rows = select(numbers, columns, settings).select("target", "weight").distinct().collect()
    assert {(row.target[0], row.weight) for row in rows} == {(0.0, 0.5), (1.0, 1.5)}


def test_class_weights_do_not_count_in_validation_rows(numbers: DataFrame) -> None:
    columns = Columns(features=("features",), labels=("label",), weight="w", validation="held_out")
    settings = FitSettings(class_weight={1.0: 3.0})  # type: ignore[dict-item]
    rows = select(numbers, columns, settings).where("validation")
    found = rows.select("target", "weight").distinct().collect()
    assert {(row.target[0], row.weight) for row in found} == {(0.0, 0.5), (1.0, 0.5)}


def test_a_validation_column_marks_the_validation_rows(numbers: DataFrame) -> None:
    columns = Columns(features=("features",), labels=("label",), validation="held_out")
    rows = select(numbers, columns, FitSettings(validation_split=0.5))
    assert rows.where("validation").count() == 7


def test_the_validation_split_does_not_depend_on_the_partitions(numbers: DataFrame) -> None:
    settings = FitSettings(validation_split=0.25, seed=3)

    def held_out(frame: DataFrame) -> set[float]:
        rows = select(frame, COLUMNS, settings).where("validation").collect()
        return {row.features[0] for row in rows}

    found = held_out(numbers)
    assert 30 <= len(found) <= 70
    assert found == held_out(numbers.coalesce(1)) == held_out(numbers.repartition(5))
    assert held_out(numbers.where("features[0] < 100")) == {x for x in found if x < 100}


def test_pixels_stay_bytes(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(bytearray([1, 2]), 1.0)], "features binary, label double")
    rows, dtypes = training_frame(frame, selection_of(COLUMNS, FitSettings()))
    assert dtypes == ("uint8",)
    assert dict(rows.dtypes)["features"] == "binary"


def test_a_missing_column_is_named(numbers: DataFrame) -> None:
    with pytest.raises(DataError, match="features column 'pixels' not found"):
        select(numbers, Columns(features=("pixels",), labels=("label",)), FitSettings())
