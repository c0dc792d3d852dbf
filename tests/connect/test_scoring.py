"""Tests of scoring, saving, loading and evaluating under Spark Connect, on a real server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from elephas.utils.model_utils import ModelType
from pyspark.ml.evaluation import (
    BinaryClassificationEvaluator,
    MulticlassClassificationEvaluator,
    RegressionEvaluator,
)
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark import GlassesEvaluator, GlassesModel, collect_scores, evaluate
from glasses_spark.errors import ScoringError
from glasses_spark.runtime.keras_archive import pack_model
from tests.compatibility.test_saved_by_earlier_versions import SAVED
from tests.connect.conftest import CONNECTED
from tests.training.tiny import FEATURES, same_weights, separable, tiny_model

pytestmark = [pytest.mark.slow, pytest.mark.rotated]

ROWS = 40


@pytest.fixture(scope="module")
def keras_model() -> Any:
    return tiny_model()


def fitted(model: Any, **changes: Any) -> GlassesModel:
    params = {
        "keras_model_config": model.to_json(),
        "weights": model.get_weights(),
        "model_type": ModelType.CLASSIFICATION,
        "history": [{"epoch": 1, "loss": 0.5}],
    }
    return GlassesModel(**{**params, **changes})


def rows_of(spark: SparkSession) -> DataFrame:
    x, y = separable(ROWS)
    rows = [(n, a.tolist(), float(b[0])) for n, (a, b) in enumerate(zip(x, y, strict=True))]
    schema = "number int, features array<double>, label double"
    return spark.createDataFrame(rows, schema).repartition(3)


def predictions_of(frame: DataFrame) -> list[float]:
    return [row.prediction[0] for row in frame.orderBy("number").collect()]


@pytest.mark.parametrize("archived", [False, True], ids=["weights", "archive"])
def test_each_row_gets_the_prediction_of_its_own_features(
    connect: SparkSession, keras_model: Any, archived: bool
) -> None:
    x, _ = separable(ROWS)
    model = fitted(keras_model, archive=pack_model(keras_model) if archived else None)
    expected = keras_model.predict(x, verbose=0)[:, 0]
    assert predictions_of(model.transform(rows_of(connect))) == pytest.approx(expected, abs=1e-6)


def test_a_model_evaluates_rows_and_is_a_function_of_sql(
    connect: SparkSession, keras_model: Any
) -> None:
    x, y = separable(ROWS)
    probabilities = keras_model.predict(x, verbose=0)
    model, frame = fitted(keras_model), rows_of(connect)
    summary: Any = model.evaluate(frame)
    assert summary.numInstances == ROWS
    assert summary.accuracy == pytest.approx(np.mean((probabilities > 0.5) == y))

    connect.udf.register("glasses", model.predict_udf("predictionCol"))
    frame.createOrReplaceTempView("rows")
    found = connect.sql("SELECT glasses(features) AS class FROM rows ORDER BY number").collect()
    assert [row["class"] for row in found] == (probabilities[:, 0] > 0.5).astype(float).tolist()


def test_vectors_and_pixels_are_scored_as_well(connect: SparkSession, keras_model: Any) -> None:
    from pyspark.ml.functions import array_to_vector

    model = fitted(keras_model)
    frame = rows_of(connect)
    vectors = frame.withColumn("features", array_to_vector(F.col("features")))
    expected = predictions_of(model.transform(frame))
    assert predictions_of(model.transform(vectors)) == expected

    pixels = connect.createDataFrame([(0, bytes([0, 51, 102, 153, 204, 255]))], ["number", "p"])
    scored = model.copy().setFeaturesCol("p").transform(pixels)
    scaled = keras_model.predict(np.array([[0, 0.2, 0.4, 0.6, 0.8, 1]]), verbose=0)
    assert predictions_of(scored) == pytest.approx(scaled[:, 0], abs=1e-6)


@pytest.mark.parametrize(("handling", "rows"), [("skip", ROWS - 1), ("keep", ROWS)])
def test_a_row_that_cannot_be_scored_is_left_out_or_kept(
    connect: SparkSession, keras_model: Any, handling: str, rows: int
) -> None:
    frame = rows_of(connect).withColumn("features", F.expr("if(number = 3, null, features)"))
    scored = fitted(keras_model, handleInvalid=handling).transform(frame).collect()
    assert len(scored) == rows
    assert sum(row.prediction is None for row in scored) == rows - (ROWS - 1)


def test_a_model_scores_again_after_its_temperature_has_changed(
    connect: SparkSession, keras_model: Any
) -> None:
    model, frame = fitted(keras_model), rows_of(connect)
    before = np.array(predictions_of(model.transform(frame)))
    model.set_temperature(2.0)
    after = np.array(predictions_of(model.transform(frame)))
    logits = np.log(before / (1 - before))
    assert after == pytest.approx(1 / (1 + np.exp(-logits / 2)), abs=1e-6)


def test_the_evaluators_of_spark_ml_and_of_this_library_agree(
    connect: SparkSession, keras_model: Any
) -> None:
    model = fitted(
        keras_model,
        rawPredictionCol="rawPrediction",
        probabilityCol="probability",
        predictionCol="class",
    )
    predictions = model.transform(rows_of(connect)).persist()
    metrics = evaluate(predictions)
    spark_accuracy = MulticlassClassificationEvaluator(
        predictionCol="class", metricName="accuracy"
    ).evaluate(predictions)
    assert metrics.rows == ROWS
    assert spark_accuracy == pytest.approx(metrics.accuracy)
    assert BinaryClassificationEvaluator().evaluate(predictions) == pytest.approx(metrics.roc_auc)
    own = GlassesEvaluator(metricName="areaUnderROC").evaluate(predictions)
    assert own == pytest.approx(metrics.roc_auc)
    assert collect_scores(predictions)[""].rows == ROWS
    predictions.unpersist()


def test_a_regression_is_scored_and_evaluated(connect: SparkSession) -> None:
    from glasses_spark.runtime.keras import import_keras

    layers = import_keras().layers
    model = import_keras().Sequential([layers.Input((FEATURES,)), layers.Dense(1)])
    regression = fitted(model, model_type=ModelType.REGRESSION)
    predictions = regression.transform(rows_of(connect))
    own = GlassesEvaluator(metricName="rmse").evaluate(predictions)
    assert RegressionEvaluator(metricName="rmse").evaluate(predictions) == pytest.approx(own)


@pytest.mark.parametrize("archived", [False, True], ids=["weights", "archive"])
@pytest.mark.parametrize("writer", ["connect", "classic"])
def test_a_model_saved_in_one_kind_of_session_loads_in_the_other(
    spark: SparkSession,
    connect: SparkSession,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    keras_model: Any,
    writer: str,
    archived: bool,
) -> None:
    # With a character that Spark's readers take for a glob.
    path = f"file:{tmp_path / 'model[1]'}"
    archive = pack_model(keras_model) if archived else None
    model = fitted(keras_model, archive=archive, outputCol="score")
    sessions = {"connect": connect, "classic": spark}
    (reader,) = sessions.keys() - {writer}
    loaded: dict[str, GlassesModel] = {}
    for session in (writer, reader, writer):
        if session == "classic":
            monkeypatch.delenv(CONNECTED)
        else:
            monkeypatch.setenv(CONNECTED, "1")
        if not loaded and not Path(tmp_path / "model[1]").exists():
            model.write().session(sessions[writer]).save(path)
            continue
        loaded[session] = GlassesModel.read().session(sessions[session]).load(path)
    for other in loaded.values():
        assert same_weights(other, model)
        assert other.archive == archive
        assert other.history == model.history
        assert (other.uid, other.getOutputCol()) == (model.uid, "score")


@pytest.mark.parametrize("name", ["model", "run/model", "model.h5"])
def test_models_of_earlier_versions_load(connect: SparkSession, name: str) -> None:
    model = GlassesModel.load(str(SAVED / name))
    assert len(model.weights) > 1
    assert model.history


def test_a_saved_model_is_replaced_only_if_asked(
    connect: SparkSession, tmp_path: Path, keras_model: Any
) -> None:
    path = f"file:{tmp_path / 'model'}"
    fitted(keras_model).save(path)
    with pytest.raises(ScoringError, match="exists already"):
        fitted(keras_model).save(path)
    fitted(keras_model, outputCol="score").write().overwrite().save(path)
    assert GlassesModel.load(path).getOutputCol() == "score"
    with pytest.raises(ScoringError, match="expected a saved stage"):
        GlassesModel.load(f"file:{tmp_path / 'other'}")


def test_an_evaluator_is_saved_replaced_and_loaded(connect: SparkSession, tmp_path: Path) -> None:
    path = f"file:{tmp_path / 'evaluator'}"
    GlassesEvaluator(metricName="accuracy").save(path)
    GlassesEvaluator(metricName="rmse").write().overwrite().save(path)
    assert GlassesEvaluator.load(path).getOrDefault("metricName") == "rmse"


def test_weights_longer_than_a_message_are_read_in_pieces(
    connect: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keras_model: Any
) -> None:
    monkeypatch.setattr("glasses_spark.scoring.connect_storage.PIECE_BYTES", 50)
    path = f"file:{tmp_path / 'model'}"
    model = fitted(keras_model, archive=pack_model(keras_model))
    model.save(path)
    loaded = GlassesModel.load(path)
    assert same_weights(loaded, model)
    assert loaded.archive == model.archive


def test_a_pipeline_model_is_saved_and_loaded(
    connect: SparkSession, tmp_path: Path, keras_model: Any
) -> None:
    from pyspark.ml import PipelineModel

    frame = rows_of(connect)
    pipeline = PipelineModel([fitted(keras_model)])
    path = f"file:{tmp_path / 'pipeline'}"
    pipeline.write().overwrite().save(path)
    expected = predictions_of(pipeline.transform(frame))
    assert predictions_of(PipelineModel.load(path).transform(frame)) == expected


def test_what_needs_no_spark_job_is_as_in_a_classic_session(
    connect: SparkSession, keras_model: Any
) -> None:
    x, _ = separable(1)
    model = fitted(keras_model, predictionCol="class", probabilityCol="probability")
    assert model.summary.totalIterations == 1
    assert model.predict(x[0].tolist()) in (0.0, 1.0)
    assert model.predictProbability(x[0].tolist()).values.sum() == pytest.approx(1)
    assert (model.numFeatures, model.numClasses) == (FEATURES, 2)
    assert same_weights(model.copy(), model)


def test_a_column_of_the_predictions_can_be_used_in_sql(
    connect: SparkSession, keras_model: Any
) -> None:
    fitted(keras_model).transform(rows_of(connect)).createOrReplaceTempView("scored")
    best = connect.sql("SELECT max(prediction[0]) AS best FROM scored").first()
    x, _ = separable(ROWS)
    assert best is not None
    assert best.best == pytest.approx(keras_model.predict(x, verbose=0).max(), abs=1e-6)
    assert connect.table("scored").where(F.col("number") == 3).count() == 1
