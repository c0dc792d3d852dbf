"""Tests for glasses_spark.scoring.transformer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from elephas.utils.model_utils import ModelType
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark import GlassesModel, load_ml_transformer
from glasses_spark.errors import DataError, ScoringError
from glasses_spark.scoring.storage import read_weights, write_weights
from tests.training.tiny import FEATURES, separable, tiny_model

# Each needs TensorFlow in Spark's Python workers.
pytestmark = pytest.mark.slow

ROWS = 50


@pytest.fixture(scope="module")
def keras_model() -> Any:
    return tiny_model()


@pytest.fixture(scope="module")
def frame(spark: SparkSession) -> DataFrame:
    x, y = separable(ROWS)
    rows = [
        (number, Vectors.dense(a), a.tolist(), float(b[0]))
        for number, (a, b) in enumerate(zip(x, y, strict=True))
    ]
    columns = ["number", "features", "list", "label"]
    return spark.createDataFrame(rows, columns).repartition(3).cache()


def fitted(model: Any, **changes: Any) -> GlassesModel:
    settings = {
        "keras_model_config": model.to_json(),
        "weights": model.get_weights(),
        "model_type": ModelType.CLASSIFICATION,
    }
    return GlassesModel(**{**settings, **changes})


def test_each_row_gets_the_prediction_of_its_own_features(
    frame: DataFrame, keras_model: Any
) -> None:
    x, _ = separable(ROWS)
    expected = keras_model.predict(x, verbose=0)[:, 0]
    # An order that is another at every evaluation, which Elephas' zip of two evaluations mixes up.
    shuffled = frame.orderBy(F.rand()).repartition(4)
    rows = fitted(keras_model).transform(shuffled).collect()
    assert len(rows) == ROWS
    found = {row.number: row.prediction[0] for row in rows}
    assert [found[number] for number in range(ROWS)] == pytest.approx(expected, abs=1e-6)


def test_features_that_are_made_anew_each_time_are_those_that_were_scored(
    frame: DataFrame, keras_model: Any
) -> None:
    noisy = frame.select("number", F.array(*(F.rand() for _ in range(FEATURES))).alias("features"))
    rows = fitted(keras_model).transform(noisy).collect()
    x = np.array([row.features for row in rows])
    expected = keras_model.predict(x, verbose=0)[:, 0]
    assert [row.prediction[0] for row in rows] == pytest.approx(expected, abs=1e-6)


def test_vectors_and_lists_give_the_same_predictions(frame: DataFrame, keras_model: Any) -> None:
    found = [
        fitted(keras_model, featuresCol=name).transform(frame).orderBy("number").collect()
        for name in ("features", "list")
    ]
    assert [row.prediction for row in found[0]] == [row.prediction for row in found[1]]


def test_pixels_are_scaled_to_one(spark: SparkSession, keras_model: Any) -> None:
    pixels = [bytearray([0, 51, 102, 153, 204, 255]), bytearray([255] * 6)]
    frame = spark.createDataFrame([(p,) for p in pixels], "features binary")
    rows = fitted(keras_model).transform(frame).collect()
    expected = keras_model.predict(np.array([[0, 0.2, 0.4, 0.6, 0.8, 1], [1] * 6]), verbose=0)
    assert [row.prediction[0] for row in rows] == pytest.approx(expected[:, 0], abs=1e-6)


def test_empty_partitions_and_empty_frames_give_no_rows(frame: DataFrame, keras_model: Any) -> None:
    model = fitted(keras_model)
    assert model.transform(frame.where("number < 2").repartition(6)).count() == 2
    assert model.transform(frame.where("number < 0")).collect() == []


def test_logits_stay_finite_where_probabilities_reach_one(frame: DataFrame) -> None:
    model = tiny_model()
    model.set_weights([weight * 200 for weight in model.get_weights()])
    rows = fitted(model, rawPredictionCol="rawPrediction").transform(frame).collect()
    assert {row.prediction[0] for row in rows} & {0.0, 1.0}
    assert all(np.isfinite(row.rawPrediction) for row in rows)
    saturated = [row for row in rows if row.prediction[0] == 1.0]
    assert len({row.rawPrediction for row in saturated}) > 1  # still told apart


@pytest.mark.parametrize("raw", ["", "raw"])
def test_a_temperature_divides_the_logits(frame: DataFrame, keras_model: Any, raw: str) -> None:
    x, _ = separable(ROWS)
    probability = keras_model.predict(x, verbose=0)[:, 0].astype(np.float64)
    logit = np.log(probability) - np.log1p(-probability)
    model = fitted(keras_model, rawPredictionCol=raw)
    # Scored before, so that the workers keep the model without a temperature.
    assert model.transform(frame).count() == ROWS

    model.set_temperature(2.5)

    rows = model.transform(frame).orderBy("number").collect()
    expected = 1 / (1 + np.exp(-logit / 2.5))
    assert [row.prediction[0] for row in rows] == pytest.approx(expected, abs=1e-6)
    if raw:
        assert [row.raw for row in rows] == pytest.approx(logit / 2.5, abs=1e-5)
    # As it goes out of Spark as well; the weights of the fit are left as they were.
    outside = model.keras_model().predict(x, verbose=0)[:, 0]
    assert outside == pytest.approx(expected, abs=1e-6)
    for kept, given in zip(model.weights, keras_model.get_weights(), strict=True):
        assert np.array_equal(kept, given)


def test_a_temperature_needs_a_dense_layer_of_one_sigmoid_unit() -> None:
    import keras

    def model(*ending: Any) -> Any:
        return keras.Sequential([keras.Input((FEATURES,)), *ending])

    dense, sigmoid = keras.layers.Dense, keras.layers.Activation("sigmoid")
    for wrong, named in (
        (model(dense(1)), "linear"),
        (model(dense(2, "sigmoid")), "sigmoid with the shape .* 2"),
        (model(dense(1), sigmoid), "sigmoid"),
    ):
        with pytest.raises(ScoringError, match=f"dense layer of one sigmoid unit, got {named}"):
            fitted(wrong, temperature=2.0).keras_model()
        assert fitted(wrong, temperature=1.0).keras_model() is not None


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_is_a_number_above_0(keras_model: Any, temperature: float) -> None:
    with pytest.raises(ScoringError, match="temperature: expected a number above 0, got"):
        fitted(keras_model, temperature=temperature).keras_model()


def test_regression_gives_a_number(frame: DataFrame, keras_model: Any) -> None:
    scored = fitted(keras_model, model_type=ModelType.REGRESSION).transform(frame)
    assert dict(scored.dtypes)["prediction"] == "double"
    assert isinstance(scored.first().prediction, float)


def test_the_batch_in_which_rows_are_scored_does_not_matter(
    frame: DataFrame, keras_model: Any
) -> None:
    found = [
        fitted(keras_model, inference_batch_size=size).transform(frame).orderBy("number").collect()
        for size in (1, 7, 1000)
    ]
    values = [[row.prediction[0] for row in rows] for rows in found]
    assert values[0] == pytest.approx(values[1], abs=1e-6)
    assert values[0] == pytest.approx(values[2], abs=1e-6)


def test_an_output_column_that_is_there_already_is_refused(
    frame: DataFrame, keras_model: Any
) -> None:
    with pytest.raises(ScoringError, match="expected a new name, got 'label'"):
        fitted(keras_model, outputCol="label").transform(frame)


def test_features_of_another_type_are_refused(spark: SparkSession, keras_model: Any) -> None:
    frame = spark.createDataFrame([("a",)], "features string")
    with pytest.raises(DataError, match=r"expected pixels .* got string"):
        fitted(keras_model).transform(frame)


@pytest.mark.parametrize("name", ["model", "model.h5"])
def test_a_saved_model_comes_back_whole(
    frame: DataFrame, keras_model: Any, tmp_path: Path, name: str
) -> None:
    history = [{"epoch": 1, "loss": 0.5}]
    model = fitted(
        keras_model,
        history=history,
        inference_batch_size=3,
        rawPredictionCol="raw",
        outputCol="p",
        temperature=2.5,
    )
    model.save(str(tmp_path / name))
    again = GlassesModel.load(str(tmp_path / name))
    assert again.history == history
    assert again.get_inference_batch_size() == 3
    assert again.get_temperature() == 2.5
    assert again.model_type == ModelType.CLASSIFICATION
    assert [w.dtype for w in again.weights] == [np.float32] * 4
    columns = ["number", "p", "raw"]
    assert (
        again.transform(frame).select(*columns).collect()
        == model.transform(frame).select(*columns).collect()
    )


def test_a_file_of_elephas_itself_can_be_loaded(
    frame: DataFrame, keras_model: Any, tmp_path: Path
) -> None:
    from elephas.ml_model import ElephasTransformer

    stock = ElephasTransformer(
        keras_model_config=keras_model.to_json(),
        weights=keras_model.get_weights(),
        model_type=ModelType.CLASSIFICATION,
    )
    stock.set_params(outputCol="prediction", featuresCol="features", labelCol="label")
    stock.save(str(tmp_path / "stock.h5"))
    again = load_ml_transformer(str(tmp_path / "stock.h5"))
    assert again.transform(frame).count() == ROWS


def test_places_where_a_model_cannot_be_are_named(
    spark: SparkSession, keras_model: Any, tmp_path: Path
) -> None:
    model = fitted(keras_model)
    with pytest.raises(ScoringError, match=r"hdfs:///model\.h5: an HDF5 file lies on this machine"):
        model.save("hdfs:///model.h5")
    model.save(str(tmp_path / "model"))
    with pytest.raises(ScoringError, match=r"model/metadata: is there already.*overwrite"):
        model.save(str(tmp_path / "model"))
    model.write().overwrite().save(str(tmp_path / "model"))
    with pytest.raises(ScoringError, match="none/metadata: expected a saved stage, and it cannot"):
        GlassesModel.load(str(tmp_path / "none"))
    with pytest.raises(ScoringError, match='No FileSystem for scheme "nosuch"'):
        model.save("nosuch://host/model")


def test_no_task_saves_or_loads_a_model_as_it_would_use_the_disk_of_its_own_machine(
    spark: SparkSession, keras_model: Any, tmp_path: Path
) -> None:
    model, context = fitted(keras_model), spark.sparkContext
    context.setJobGroup("saving", "")
    try:
        model.save(str(tmp_path / "model"))
        GlassesModel.load(str(tmp_path / "model"))
        assert list(context.statusTracker().getJobIdsForGroup("saving")) == []
        context.range(1).count()
        assert len(context.statusTracker().getJobIdsForGroup("saving")) == 1
    finally:
        context.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]
        context.setLocalProperty("spark.job.description", None)  # type: ignore[arg-type]


def test_what_spark_itself_has_written_is_read(
    spark: SparkSession, keras_model: Any, tmp_path: Path
) -> None:
    # As earlier versions did: in tasks, under names of Spark's own.
    model = fitted(keras_model)
    model.save(str(tmp_path / "new"))
    for part, form in (("metadata", "text"), ("weights", "parquet")):
        rows = spark.read.format(form).load(str(tmp_path / "new" / part))
        rows.write.format(form).save(str(tmp_path / "old" / part))
    again = GlassesModel.load(str(tmp_path / "old"))
    assert again.uid == model.uid
    assert all(map(np.array_equal, again.weights, model.weights))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match=r"nothing\.h5: expected a saved model, got no such"):
        load_ml_transformer(str(tmp_path / "nothing.h5"))


def test_stored_bytes_become_nothing_but_numbers(spark: SparkSession, tmp_path: Path) -> None:
    path = str(tmp_path / "weights")
    write_weights(spark, path, [np.arange(6, dtype=np.float32).reshape(2, 3)])
    assert read_weights(spark, path)[0].tolist() == [[0, 1, 2], [3, 4, 5]]
    broken = spark.read.parquet(path)
    broken.withColumn("dtype", F.lit("object")).write.parquet(f"{path}-object")
    with pytest.raises(ScoringError, match="a weight of the type 'object'"):
        read_weights(spark, f"{path}-object")
    broken.withColumn("shape", F.array(F.lit(2), F.lit(4))).write.parquet(f"{path}-longer")
    with pytest.raises(ScoringError, match=r"expected 32 bytes .* got 24"):
        read_weights(spark, f"{path}-longer")


# Last, as an error ends the Python worker in which it comes, and the next has to start anew.


def test_logits_of_a_model_without_a_sigmoid_are_refused(frame: DataFrame) -> None:
    import keras

    model = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(1)])
    scored = fitted(model, rawPredictionCol="raw").transform(frame)
    with pytest.raises(Exception, match="ends in one sigmoid unit; this one ends in linear"):
        scored.collect()


def test_a_null_among_the_features_is_named(spark: SparkSession, keras_model: Any) -> None:
    frame = spark.createDataFrame([([0.0] * FEATURES,), (None,)], "features array<double>")
    with pytest.raises(Exception, match="expected a value in every row, got 1 nulls"):
        fitted(keras_model).transform(frame).collect()


def test_rows_of_another_length_are_named(spark: SparkSession, keras_model: Any) -> None:
    frame = spark.createDataFrame([([0.0, 1.0],)], "features array<double>")
    with pytest.raises(Exception, match="expected 6 numbers in every row"):
        fitted(keras_model).transform(frame).collect()
