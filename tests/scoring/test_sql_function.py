"""Tests for glasses_spark.scoring.sql_function: a model as a function of Spark SQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pyspark.ml.linalg import SparseVector, Vectors
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark import GlassesModel
from glasses_spark.errors import ScoringError
from glasses_spark.runtime.keras import import_keras
from tests.training.tiny import FEATURES, glorot, separable

pytestmark = pytest.mark.slow

keras = import_keras()


def model_of(layers: list[Any], shape: tuple[int, ...] = (FEATURES,), **params: Any) -> Any:
    network = keras.Sequential([keras.Input(shape), *layers])
    model = GlassesModel(keras_model_config=network.to_json(), weights=network.get_weights())
    return model._set(**params)


def sigmoid(**params: Any) -> Any:
    dense = keras.layers.Dense(1, activation="sigmoid", kernel_initializer=glorot(1))
    return model_of([dense], prediction_kind="probabilities", prediction_size=1, **params)


@pytest.fixture
def rows(spark: SparkSession) -> Iterator[DataFrame]:
    """The same features in several forms, and whole numbers."""
    x, _ = separable(9)
    table = [
        (number, Vectors.dense(a), SparseVector(FEATURES, range(FEATURES), a), a.tolist(), [1, 2])
        for number, a in enumerate(x)
    ]
    columns = ["number", "dense", "sparse", "array", "short"]
    frame = spark.createDataFrame(table, columns).repartition(2)
    frame.createOrReplaceTempView("rows")
    yield frame
    spark.catalog.dropTempView("rows")


@pytest.mark.parametrize("features", ["dense", "sparse", "array", "CAST(array AS ARRAY<FLOAT>)"])
def test_sql_takes_the_columns_that_transform_takes(
    spark: SparkSession, rows: DataFrame, features: str
) -> None:
    model = sigmoid(outputCol="p", featuresCol="array")
    spark.udf.register("glasses", model.predict_udf())
    found = spark.sql(f"SELECT number, glasses({features}) AS p FROM rows ORDER BY number")
    assert dict(found.dtypes)["p"] == "array<double>"
    expected = model.transform(rows).select("number", "p").orderBy("number").collect()
    for row, wanted in zip(found.collect(), expected, strict=True):
        assert row.p == pytest.approx(wanted.p, abs=1e-6)


@pytest.mark.parametrize(
    ("column", "kind"),
    [
        ("predictionCol", "double"),
        ("probabilityCol", "array<double>"),
        ("rawPredictionCol", "array<double>"),
    ],
)
def test_it_returns_the_values_of_a_param(rows: DataFrame, column: str, kind: str) -> None:
    model = sigmoid(outputCol="p", featuresCol="array", **{column: "wanted"})
    scored = model.transform(rows).withColumn("found", model.predict_udf(column)(F.col("dense")))
    assert dict(scored.dtypes)["found"] == kind
    for row in scored.collect():
        assert row.found == pytest.approx(np.asarray(row.wanted).tolist(), abs=1e-6)


def test_pixels_and_numbers_are_features(spark: SparkSession) -> None:
    pixels = model_of([keras.layers.Flatten(), keras.layers.Dense(1)], (2, 2, 1))
    faces = spark.createDataFrame([(bytearray([0, 51, 102, 255]),), (bytearray(4),)], "x binary")
    wanted = [row.prediction for row in pixels.setFeaturesCol("x").transform(faces).collect()]
    assert faces.select(pixels.predict_udf()("x").alias("p")).collect() == [
        (pytest.approx(value),) for value in wanted
    ]
    doubled = model_of(
        [keras.layers.Dense(1, kernel_initializer=keras.initializers.Constant(2.0))],
        (1,),
        prediction_kind="numbers",
        prediction_size=1,
    )
    numbers = spark.range(3).select(doubled.predict_udf()(F.col("id")).alias("p"))
    assert [row.p for row in numbers.collect()] == [0, 2, 4]


def test_a_row_that_cannot_be_scored_is_an_error_or_null(rows: DataFrame) -> None:
    some = F.when(F.col("number") > 2, F.col("array"))
    keep = rows.select("number", sigmoid(handleInvalid="keep").predict_udf()(some).alias("p"))
    assert [row.p is None for row in keep.orderBy("number").collect()] == [True] * 3 + [False] * 6
    rows = rows.coalesce(1)  # Spark tries each task four times.
    with pytest.raises(Exception, match="features: expected a value in every row, got null"):
        rows.select(sigmoid().predict_udf()(some)).collect()
    with pytest.raises(Exception, match=r"expected 6 numbers .*, got 2\. Correct the row"):
        rows.select(sigmoid().predict_udf()("short")).collect()
    with pytest.raises(Exception, match=r"expected 1 columns of features.*, got 2"):
        rows.select(sigmoid().predict_udf()("array", "short")).collect()
    with pytest.raises(Exception, match="got a struct of number"):
        rows.select(sigmoid().predict_udf()(F.struct("number"))).collect()


def test_what_a_function_cannot_return_is_refused() -> None:
    with pytest.raises(ScoringError, match="handleInvalid=skip: a function of a row cannot"):
        sigmoid(handleInvalid="skip").predict_udf()
    with pytest.raises(ScoringError, match=r"column: expected one of outputCol, .*, got 'p'"):
        sigmoid().predict_udf("p")
    number = model_of([keras.layers.Dense(1)], prediction_kind="numbers", prediction_size=1)
    with pytest.raises(ScoringError, match="probabilityCol needs a model that predicts classes"):
        number.predict_udf("probabilityCol")
