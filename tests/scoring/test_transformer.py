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

from glasses_spark import GlassesModel, evaluate, load_ml_transformer
from glasses_spark.errors import ScoringError
from glasses_spark.runtime.keras import import_keras
from tests.training.tiny import FEATURES, separable, tiny_model

# The tests need TensorFlow in Spark's Python workers.
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
    """Return a classifier with the architecture and weights of a Keras model."""
    params = {
        "keras_model_config": model.to_json(),
        "weights": model.get_weights(),
        "model_type": ModelType.CLASSIFICATION,
    }
    return GlassesModel(**{**params, **changes})


def test_each_row_gets_the_prediction_of_its_own_features(
    frame: DataFrame, keras_model: Any
) -> None:
    x, _ = separable(ROWS)
    expected = keras_model.predict(x, verbose=0)[:, 0]
    # The order changes with each evaluation. Elephas evaluates twice and mixes rows up.
    shuffled = frame.orderBy(F.rand()).repartition(4)
    rows = fitted(keras_model).transform(shuffled).collect()
    assert len(rows) == ROWS
    predictions = {row.number: row.prediction[0] for row in rows}
    assert [predictions[number] for number in range(ROWS)] == pytest.approx(expected, abs=1e-6)


def test_the_features_of_a_row_are_those_that_were_scored(
    frame: DataFrame, keras_model: Any
) -> None:
    noisy = frame.select("number", F.array(*(F.rand() for _ in range(FEATURES))).alias("features"))
    rows = fitted(keras_model).transform(noisy).collect()
    x = np.array([row.features for row in rows])
    expected = keras_model.predict(x, verbose=0)[:, 0]
    assert [row.prediction[0] for row in rows] == pytest.approx(expected, abs=1e-6)


def test_vectors_and_lists_give_the_same_predictions(frame: DataFrame, keras_model: Any) -> None:
    vectors, lists = (
        fitted(keras_model, featuresCol=name).transform(frame).orderBy("number").collect()
        for name in ("features", "list")
    )
    assert [row.prediction for row in vectors] == [row.prediction for row in lists]


def test_pixels_are_scaled_to_the_range_from_0_to_1(spark: SparkSession, keras_model: Any) -> None:
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
    assert all(np.isfinite(row.rawPrediction).all() for row in rows)
    saturated = [row for row in rows if row.prediction[0] == 1.0]
    assert len({row.rawPrediction[1] for row in saturated}) > 1  # and still ordered


@pytest.mark.parametrize("raw", ["", "raw"])
def test_a_temperature_divides_the_logits(frame: DataFrame, keras_model: Any, raw: str) -> None:
    x, _ = separable(ROWS)
    probability = keras_model.predict(x, verbose=0)[:, 0].astype(np.float64)
    logit = np.log(probability) - np.log1p(-probability)
    model = fitted(keras_model, rawPredictionCol=raw)
    # First without a temperature, so that the workers have this model in their cache.
    assert model.transform(frame).count() == ROWS

    model.set_temperature(2.5)

    rows = model.transform(frame).orderBy("number").collect()
    expected = 1 / (1 + np.exp(-logit / 2.5))
    assert [row.prediction[0] for row in rows] == pytest.approx(expected, abs=1e-6)
    if raw:
        assert [row.raw[1] for row in rows] == pytest.approx(logit / 2.5, abs=1e-5)
    # The exported model includes the temperature; the weights of the fit do not change.
    outside = model.keras_model().predict(x, verbose=0)[:, 0]
    assert outside == pytest.approx(expected, abs=1e-6)
    assert all(map(np.array_equal, model.weights, keras_model.get_weights()))


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_must_be_finite_and_above_0(keras_model: Any, temperature: float) -> None:
    with pytest.raises(ScoringError, match="temperature: expected a finite number above 0, got"):
        fitted(keras_model, temperature=temperature).keras_model()


def test_the_prediction_of_a_regression_is_a_number(frame: DataFrame, keras_model: Any) -> None:
    scored = fitted(keras_model, model_type=ModelType.REGRESSION).transform(frame)
    assert dict(scored.dtypes)["prediction"] == "double"
    assert isinstance(scored.first().prediction, float)


def test_the_batch_size_does_not_change_predictions(frame: DataFrame, keras_model: Any) -> None:
    results = [
        fitted(keras_model, inference_batch_size=size).transform(frame).orderBy("number").collect()
        for size in (1, 7, 1000)
    ]
    values = [[row.prediction[0] for row in rows] for rows in results]
    assert values[0] == pytest.approx(values[1], abs=1e-6)
    assert values[0] == pytest.approx(values[2], abs=1e-6)


def test_an_existing_output_column_is_refused(frame: DataFrame, keras_model: Any) -> None:
    with pytest.raises(ScoringError, match="output column 'label' exists already"):
        fitted(keras_model, outputCol="label").transform(frame)


@pytest.mark.parametrize("name", ["model", "model.h5"])
def test_a_loaded_model_equals_the_saved_one(
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
    loaded = GlassesModel.load(str(tmp_path / name))
    assert loaded.history == history
    assert loaded.get_inference_batch_size() == 3
    assert loaded.get_temperature() == 2.5
    assert loaded.model_type == ModelType.CLASSIFICATION
    assert [w.dtype for w in loaded.weights] == [np.float32] * 4
    columns = ["number", "p", "raw"]
    assert (
        loaded.transform(frame).select(*columns).collect()
        == model.transform(frame).select(*columns).collect()
    )


def test_a_file_saved_by_elephas_can_be_loaded(
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
    loaded = load_ml_transformer(str(tmp_path / "stock.h5"))
    assert loaded.transform(frame).count() == ROWS


def test_a_path_that_cannot_be_used_is_named(
    spark: SparkSession, keras_model: Any, tmp_path: Path
) -> None:
    model = fitted(keras_model)
    with pytest.raises(ScoringError, match=r"hdfs:///model\.h5: an HDF5 file can only be"):
        model.save("hdfs:///model.h5")
    model.save(str(tmp_path / "model"))
    with pytest.raises(ScoringError, match=r"model/metadata exists already.*overwrite"):
        model.save(str(tmp_path / "model"))
    model.write().overwrite().save(str(tmp_path / "model"))
    with pytest.raises(ScoringError, match="none/metadata: expected a saved stage, but"):
        GlassesModel.load(str(tmp_path / "none"))
    with pytest.raises(ScoringError, match='No FileSystem for scheme "nosuch"'):
        model.save("nosuch://host/model")


def test_saving_and_loading_start_no_spark_job(
    spark: SparkSession, keras_model: Any, tmp_path: Path
) -> None:
    model, context = fitted(keras_model), spark.sparkContext
    context.setJobGroup("saving", "")
    try:
        model.save(str(tmp_path / "model"))
        GlassesModel.load(str(tmp_path / "model"))
        assert list(context.statusTracker().getJobIdsForGroup("saving")) == []
        context.range(1).count()
        assert list(context.statusTracker().getJobIdsForGroup("saving")) != []
    finally:
        context.setLocalProperty("spark.jobGroup.id", None)  # type: ignore[arg-type]
        context.setLocalProperty("spark.job.description", None)  # type: ignore[arg-type]


def test_folders_written_by_spark_tasks_can_be_loaded(
    spark: SparkSession, keras_model: Any, tmp_path: Path
) -> None:
    # Earlier versions saved models in Spark tasks, with Spark's own file names.
    model = fitted(keras_model)
    model.save(str(tmp_path / "new"))
    for part, form in (("metadata", "text"), ("weights", "parquet")):
        rows = spark.read.format(form).load(str(tmp_path / "new" / part))
        rows.write.format(form).save(str(tmp_path / "old" / part))
    loaded = GlassesModel.load(str(tmp_path / "old"))
    assert loaded.uid == model.uid
    assert all(map(np.array_equal, loaded.weights, model.weights))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScoringError, match=r"nothing\.h5: expected a saved model, but"):
        load_ml_transformer(str(tmp_path / "nothing.h5"))


def test_the_logits_of_a_model_without_a_sigmoid_are_refused(frame: DataFrame) -> None:
    import keras

    model = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(1)])
    with pytest.raises(ScoringError, match="predicts classes, found outputs of an unknown"):
        fitted(model, rawPredictionCol="raw").transform(frame)


@pytest.mark.parametrize(
    ("activation", "kind", "size"),
    [("softmax", "probabilities", 3), ("sigmoid", "probabilities", 1), (None, "unknown", 1)],
)
def test_a_model_that_does_not_know_its_loss_predicts_what_its_activation_gives(
    frame: DataFrame, activation: str | None, kind: str, size: int
) -> None:
    keras = import_keras()
    layers = [keras.Input((FEATURES,)), keras.layers.Dense(size, activation=activation)]
    scored = fitted(keras.Sequential(layers)).transform(frame)

    metadata = scored.schema["prediction"].metadata["glasses_spark"]
    assert kind in metadata["prediction_kind"]
    assert metadata["prediction_size"] == size
    if kind == "unknown":
        with pytest.raises(ScoringError, match="found outputs of an unknown loss"):
            evaluate(scored)


@pytest.mark.parametrize("kind", ["probabilities", "logits"])
def test_predictions_and_logits_come_from_one_pass_of_the_model(
    frame: DataFrame, keras_model: Any, kind: str
) -> None:
    columns = {"rawPredictionCol": "raw", "probabilityCol": "p", "predictionCol": "class"}
    model = fitted(keras_model, **columns).set_prediction_kind(kind)
    plan = model.transform(frame)._jdf.queryExecution().executedPlan().toString()
    assert plan.count("ArrowEvalPython") == 1
    assert plan.count("score(") == 1
