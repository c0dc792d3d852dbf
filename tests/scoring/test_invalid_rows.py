"""Tests for glasses_spark.scoring.invalid_rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.linalg import Vectors, VectorUDT
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import DoubleType, StructField, StructType

from glasses_spark import GlassesModel
from glasses_spark.errors import ConfigError, ScoringError
from glasses_spark.runtime.keras import import_keras
from tests.training.tiny import FEATURES, tiny_model

# The tests need TensorFlow in Spark's Python workers.
pytestmark = pytest.mark.slow

NAN, INF = float("nan"), float("inf")
ONES = [1.0] * FEATURES
ML = {"rawPredictionCol": "raw", "probabilityCol": "probability", "predictionCol": "class"}

keras = import_keras()


def fitted(model: Any = None, **params: Any) -> GlassesModel:
    model = tiny_model() if model is None else model
    kind = {"prediction_kind": "probabilities", "prediction_size": 1}
    config, weights = model.to_json(), model.get_weights()
    return GlassesModel(**{"keras_model_config": config, "weights": weights, **kind, **params})


@pytest.fixture(scope="module")
def vectors(spark: SparkSession) -> DataFrame:
    """Two valid rows between invalid ones, with labels."""
    features = [
        None,
        Vectors.dense(ONES),
        Vectors.dense(ONES[1:]),
        Vectors.dense([NAN, *ONES[1:]]),
        Vectors.sparse(FEATURES, {0: 2.0}),
        Vectors.sparse(FEATURES, {1: INF}),
    ]
    fields = [
        StructField("number", DoubleType()),
        StructField("label", DoubleType()),
        StructField("features", VectorUDT()),
    ]
    rows = [(float(number), float(number % 2), row) for number, row in enumerate(features)]
    return spark.createDataFrame(rows, StructType(fields)).repartition(2, "number").cache()


VECTOR_REASONS = {
    0.0: "column 'features': expected a value in every row, got null",
    2.0: "column 'features': expected 6 numbers for an input of 6 in every row, got 5",
    3.0: "column 'features': expected finite numbers in every row, got NaN or null at place 0",
    5.0: "column 'features': expected finite numbers in every row, got +inf (float32) at place 1",
}


def test_keep_adds_null_and_the_reason(vectors: DataFrame) -> None:
    scored = fitted(handleInvalid="keep", **ML).transform(vectors)
    rows = {row.number: row for row in scored.collect()}
    assert scored.columns[-1] == "invalidReason"
    assert {n: row.invalidReason for n, row in rows.items() if row.invalidReason} == VECTOR_REASONS
    for number, row in rows.items():
        values = [row.prediction, *(row[name] for name in ML.values())]
        assert {value is None for value in values} == {number in VECTOR_REASONS}
    valid = fitted(**ML).transform(vectors.where("number in (1, 4)")).collect()
    assert [rows[row.number][: len(row)] for row in valid] == list(map(tuple, valid))


def test_skip_drops_rows_and_the_evaluators_of_spark_work(vectors: DataFrame) -> None:
    scored = fitted(handleInvalid="skip", **ML).transform(vectors)
    assert scored.columns == fitted(**ML).transform(vectors).columns
    assert {row.number for row in scored.collect()} == {1.0, 4.0}
    area = BinaryClassificationEvaluator(rawPredictionCol="raw").evaluate(scored)
    assert area in (0.0, 1.0)


def test_skip_passes_each_row_through_the_model_once(vectors: DataFrame) -> None:
    scored = fitted(handleInvalid="skip", **ML).transform(vectors).where("class = 1")
    plan = scored._jdf.queryExecution().executedPlan().toString()
    assert plan.count("score(") == 1


@pytest.mark.parametrize("number", VECTOR_REASONS)
def test_the_error_comes_first(vectors: DataFrame, number: float) -> None:
    with pytest.raises(Exception, match="handleInvalid") as caught:
        fitted().transform(vectors.where(f"number in (1, {number})")).collect()
    first = str(caught.value).splitlines()[0]
    assert f"ScoringError: {VECTOR_REASONS[number]}. Correct the row, or set" in first
    assert "stack trace" not in str(caught.value)


@pytest.mark.parametrize("column", ML)
def test_each_column_alone_raises_the_error(vectors: DataFrame, column: str) -> None:
    scored = fitted(**ML).transform(vectors).select(ML[column])
    with pytest.raises(Exception, match="ScoringError: column 'features': expected"):
        scored.collect()


@pytest.mark.parametrize(
    ("kind", "rows", "found"),
    [
        ("array<double>", [ONES, None, [1.0], [None, *ONES[1:]], [*ONES[1:], -INF]],
         ["got null", "got 1", "got NaN or null at place 0", "got -inf (float32) at place 5"]),
        ("array<float>", [ONES, [NAN, *ONES[1:]], []], ["got NaN or null", "got 0"]),
        ("array<int>", [[1] * 6, [1, None, 1, 1, 1, 1]], ["got NaN or null at place 1"]),
        ("binary", [bytearray(6), bytearray(5), bytearray(), None],
         ["expected 6 pixels for an input of 6 in every row, got 5", "got 0", "got null"]),
    ],
)  # fmt: skip
def test_columns_of_each_type_are_checked(
    spark: SparkSession, kind: str, rows: list[Any], found: list[str]
) -> None:
    frame = spark.createDataFrame(list(enumerate(rows)), f"number int, features {kind}")
    scored = fitted(handleInvalid="keep").transform(frame.coalesce(1)).orderBy("number").collect()
    assert scored[0].prediction is not None
    assert scored[0].invalidReason is None
    for row, text in zip(scored[1:], found, strict=True):
        assert row.prediction is None
        assert row.invalidReason.startswith("column 'features': expected ")
        assert text in row.invalidReason


def test_whole_numbers_beside_a_null_stay_exact(spark: SparkSession) -> None:
    x = keras.Input((2,), dtype="int64")
    model = keras.Model(x, keras.ops.cast(x[:, :1] - x[:, 1:], "float32"))
    rows = [([2**60 + 1, 2**60],), ([1, None],), (None,)]
    frame = spark.createDataFrame(rows, "features array<bigint>").coalesce(1)
    kinds = {"prediction_kind": "numbers", "prediction_size": 1}
    scored = fitted(model, handleInvalid="keep", **kinds).transform(frame).collect()
    assert [row.prediction for row in scored] == [1.0, None, None]
    reason = "column 'features': expected a value in every row, got null"
    assert [row.invalidReason for row in scored] == [None, reason, reason]


def test_each_input_of_several_is_checked(spark: SparkSession) -> None:
    text = keras.Input((1,), dtype="string", name="text")
    number = keras.Input((1,), name="number")
    words = keras.layers.StringLookup(vocabulary=["a"], output_mode="multi_hot")(text)
    both = keras.layers.Concatenate()([words, number])
    outputs = [keras.layers.Dense(1, name=name)(both) for name in ("p", "q")]
    model = keras.Model([text, number], outputs)
    kinds = {"output_kinds": [["numbers", 1], ["probabilities", 1]]}
    rows = [("a", 1.0), (None, 1.0), ("", NAN), ("a", None), (None, None)]
    frame = spark.createDataFrame(rows, "t string, n double").coalesce(1)
    made = fitted(model, featuresCol=["t", "n"], handleInvalid="keep", **kinds)
    made.setInvalidReasonCol("why")
    scored = made.transform(frame).collect()
    assert [row.prediction_p is None for row in scored] == [False, True, True, True, True]
    assert [row.prediction_q is None for row in scored] == [False, True, True, True, True]
    columns = [row.why and row.why[8:9] for row in scored]
    assert columns == [None, "t", "n", "n", "t"]


def test_it_is_a_param_as_in_spark_ml(vectors: DataFrame, tmp_path: Path) -> None:
    model = fitted()
    assert model.getHandleInvalid() == "error"
    assert model.getInvalidReasonCol() == "invalidReason"
    model.setHandleInvalid("keep").setInvalidReasonCol("why")
    for name in ("folder", "file.h5"):
        path = str(tmp_path / name)
        model.save(path)
        loaded = GlassesModel.load(path)
        assert loaded.getHandleInvalid() == "keep"
        assert loaded.getInvalidReasonCol() == "why"
    other = {model.handleInvalid: "skip"}
    assert model.transform(vectors, other).count() == 2
    assert "why" not in model.transform(vectors, other).columns
    assert model.setInvalidReasonCol("").transform(vectors).columns[-1] == "prediction"


@pytest.mark.parametrize("value", ["drop", "", None, 1])
def test_another_value_is_refused(value: Any) -> None:
    with pytest.raises(ConfigError, match="handleInvalid: expected error, skip or keep, got"):
        fitted().setHandleInvalid(value).getHandleInvalid()


def test_a_column_of_reasons_that_exists_is_refused(vectors: DataFrame) -> None:
    model = fitted(handleInvalid="keep", invalidReasonCol="label")
    with pytest.raises(ScoringError, match="output column 'label' exists already"):
        model.transform(vectors)
    assert model.setHandleInvalid("error").transform(vectors).columns[-1] == "prediction"
