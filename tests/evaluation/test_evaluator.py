"""Tests for glasses_spark.evaluation.evaluator, and Spark ML's model selection with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.linalg import Vectors
from pyspark.ml.tuning import (
    CrossValidator,
    ParamGridBuilder,
    TrainValidationSplit,
)
from pyspark.sql import DataFrame, SparkSession
from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

from glasses_spark import GlassesEstimator, GlassesModel, build_estimator
from glasses_spark.errors import ConfigError, ScoringError
from glasses_spark.evaluation.evaluator import GlassesEvaluator
from glasses_spark.runtime.keras import import_keras
from tests.evaluation.test_class_metrics import frame as with_kind
from tests.training.tiny import FEATURES, separable, tiny_model

# Together a quarter of a minute of small Spark jobs.
pytestmark = pytest.mark.slow

LABELS = [0.0, 1.0, 1.0, 0.0, 1.0]
PROBABILITIES = [0.2, 0.7, 0.4, 0.6, 0.9]


@pytest.fixture(scope="module")
def predictions(spark: SparkSession) -> DataFrame:
    rows = [(label, [p]) for label, p in zip(LABELS, PROBABILITIES, strict=True)]
    return spark.createDataFrame(rows, "truth double, guess array<double>")


@pytest.mark.parametrize(
    ("name", "expected", "larger_is_better"),
    [
        ("logLoss", log_loss(LABELS, PROBABILITIES), False),
        ("stableLogLoss", log_loss(LABELS, PROBABILITIES), False),
        ("accuracy", accuracy_score(LABELS, np.array(PROBABILITIES) >= 0.65), True),
        ("areaUnderROC", roc_auc_score(LABELS, PROBABILITIES), True),
    ],
)
def test_metrics_match_scikit_learn(
    predictions: DataFrame, name: str, expected: float, larger_is_better: bool
) -> None:
    evaluator = GlassesEvaluator(
        metricName=name, labelCol="truth", predictionCol="guess", threshold=0.65
    )
    assert evaluator.evaluate(predictions) == pytest.approx(expected)
    assert evaluator.isLargerBetter() is larger_is_better


def test_an_unknown_metric_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"metricName: expected one of logLoss, .*, got 'f1'"):
        GlassesEvaluator(metricName="f1")


def test_an_area_of_one_label_is_an_error(predictions: DataFrame) -> None:
    evaluator = GlassesEvaluator(metricName="areaUnderROC", labelCol="truth", predictionCol="guess")
    with pytest.raises(ScoringError, match="needs images of both labels"):
        evaluator.evaluate(predictions.where("truth = 1"))


def test_a_saved_evaluator_loads(spark: SparkSession, tmp_path: Path) -> None:
    GlassesEvaluator(metricName="accuracy", threshold=0.7).save(str(tmp_path / "evaluator"))
    again = GlassesEvaluator.load(str(tmp_path / "evaluator"))
    assert again.getOrDefault(again.metricName) == "accuracy"
    assert again.getOrDefault(again.threshold) == 0.7


THREE = ([0.0, 1.0, 2.0, 2.0], [[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.1, 0.1, 0.8], [0.5, 0.3, 0.2]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("logLoss", log_loss(*THREE)),
        ("accuracy", 0.75),
        ("macroF1", f1_score(THREE[0], [0, 1, 2, 0], average="macro")),
        ("weightedF1", f1_score(THREE[0], [0, 1, 2, 0], average="weighted")),
        ("areaUnderROC", roc_auc_score(*THREE, multi_class="ovr")),
    ],
)
def test_metrics_of_three_classes_match_scikit_learn(
    spark: SparkSession, name: str, expected: float
) -> None:
    evaluator = GlassesEvaluator(metricName=name)
    assert evaluator.evaluate(with_kind(spark, *THREE)) == pytest.approx(expected)
    assert evaluator.isLargerBetter() is (name != "logLoss")


@pytest.mark.parametrize(
    ("name", "expected", "larger_is_better"),
    [("rmse", 0.5, False), ("mae", 0.5, False), ("r2", 0.75, True)],
)
def test_metrics_of_a_regression(
    spark: SparkSession, name: str, expected: float, larger_is_better: bool
) -> None:
    rows = spark.createDataFrame([(1.0, 1.5), (3.0, 2.5)], ["label", "prediction"])
    evaluator = GlassesEvaluator(metricName=name)
    assert evaluator.evaluate(rows) == pytest.approx(expected)
    assert evaluator.isLargerBetter() is larger_is_better


@pytest.mark.parametrize(
    ("name", "outputs", "message"),
    [
        (
            "stableLogLoss",
            [0.2, 0.3, 0.5],
            "stableLogLoss needs predictions of two classes, found those of three",
        ),
        ("rmse", [0.2, 0.8], "found those of two classes. Use one of logLoss, stableLogLoss, acc"),
        ("logLoss", 0.5, "found those of a regression. Use one of rmse, mae, r2"),
    ],
)
def test_a_metric_that_the_predictions_do_not_have_is_refused_before_it_computes(
    spark: SparkSession, name: str, outputs: Any, message: str
) -> None:
    # The label fits no prediction, but the rows are not read.
    kind = "double" if isinstance(outputs, float) else "array<double>"
    rows = spark.createDataFrame([(9.5, outputs)], f"label double, prediction {kind}")
    with pytest.raises(ScoringError, match=message):
        GlassesEvaluator(metricName=name).evaluate(rows)


def test_other_columns_of_the_default_names_are_not_read(spark: SparkSession) -> None:
    rows = spark.createDataFrame(
        [(0.0, [0.2], 7.0, "x"), (1.0, [0.9], 7.0, "x")],
        "truth double, guess array<double>, label double, prediction string",
    )
    evaluator = GlassesEvaluator(metricName="accuracy", labelCol="truth", predictionCol="guess")
    assert evaluator.evaluate(rows) == 1.0
    with pytest.raises(ScoringError, match="found no column other among truth, guess"):
        GlassesEvaluator(labelCol="other", predictionCol="guess").evaluate(rows)


@pytest.fixture(scope="module")
def frame(spark: SparkSession) -> DataFrame:
    x, y = separable(90)
    rows = [
        (Vectors.dense(a), float(b[0]), number % 2)
        for number, (a, b) in enumerate(zip(x, y, strict=True))
    ]
    return spark.createDataFrame(rows, ["features", "label", "fold"]).repartition(2).cache()


def estimator(mode: str, **more: Any) -> GlassesEstimator:
    model = tiny_model()
    model.optimizer.learning_rate = 0.05
    return build_estimator(
        model,
        1,
        16,
        categorical=False,
        num_workers=2,
        mode=mode,
        rawPredictionCol="rawPrediction",
        **more,
    )


def test_a_copy_with_other_parameters_keeps_weights_and_callbacks() -> None:
    callback = import_keras().callbacks.LambdaCallback()
    base = estimator("synchronous", callbacks=[callback])
    copy = base.copy({base.epochs: 7, base.batch_size: 4})

    assert (copy.get_epochs(), copy.get_batch_size(), base.get_epochs()) == (7, 4, 1)
    assert copy.callbacks == (callback,)
    assert copy.initial_weights is base.initial_weights
    with pytest.raises(ConfigError, match="epochs: expected a whole number >= 1, got 0"):
        base.copy({base.epochs: 0})


@pytest.mark.exhaustive  # the cross-validation below also runs two fits at once
@pytest.mark.parametrize("mode", ["synchronous", "asynchronous"])
def test_spark_cross_validator_chooses_among_fits_two_at_once(frame: DataFrame, mode: str) -> None:
    base = estimator(mode)
    grid = ParamGridBuilder().addGrid(base.epochs, [1, 12]).build()
    validator = CrossValidator(
        estimator=base,
        estimatorParamMaps=grid,
        evaluator=GlassesEvaluator(),
        numFolds=2,
        foldCol="fold",
        parallelism=2,
    )
    chosen = validator.fit(frame)

    assert chosen.avgMetrics[1] < chosen.avgMetrics[0]  # log losses
    assert isinstance(chosen.bestModel, GlassesModel)
    assert len(chosen.bestModel.history) == 12
    assert chosen.bestModel.history[0]["rows"] == 90


def test_spark_train_validation_split_works_with_its_own_evaluator(frame: DataFrame) -> None:
    base = estimator("synchronous")
    grid = ParamGridBuilder().addGrid(base.epochs, [1, 12]).build()
    split = TrainValidationSplit(
        estimator=base,
        estimatorParamMaps=grid,
        evaluator=BinaryClassificationEvaluator(rawPredictionCol="rawPrediction"),
        trainRatio=0.6,
        seed=1,
    )
    chosen = split.fit(frame)

    assert chosen.validationMetrics[1] > chosen.validationMetrics[0]  # areas under the ROC curve
    assert isinstance(chosen.bestModel, GlassesModel)
    assert len(chosen.bestModel.history) == 12
    accuracy = GlassesEvaluator(metricName="accuracy").evaluate(chosen.transform(frame))
    assert accuracy > 0.85


def test_cross_validation_of_a_softmax_of_two_chooses_the_better_model(frame: DataFrame) -> None:
    keras = import_keras()
    model = keras.Sequential(
        [keras.Input((FEATURES,)), keras.layers.Dense(2, "softmax", kernel_initializer="zeros")]
    )
    model.compile("sgd", "categorical_crossentropy")
    base = build_estimator(model, 5, 8, categorical=True, nb_classes=2, mode="synchronous")
    # With the second learning rate the model stays at 0.5 for both classes.
    grid = ParamGridBuilder().addGrid(base.learning_rate, [0.3, 1e-9]).build()
    validator = CrossValidator(
        estimator=base,
        estimatorParamMaps=grid,
        evaluator=GlassesEvaluator(metricName="accuracy"),
        numFolds=2,
        foldCol="fold",
        parallelism=2,
    )

    chosen = validator.fit(frame)

    assert chosen.avgMetrics[0] > 0.8 > 0.65 > chosen.avgMetrics[1]
    assert chosen.bestModel.transform(frame).schema["prediction"].metadata == {
        "glasses_spark": {"prediction_kind": "probabilities", "prediction_size": 2}
    }
    rows = chosen.bestModel.transform(frame).collect()
    right = [float(row.prediction[1] >= 0.5) == row.label for row in rows]
    accuracy = GlassesEvaluator(metricName="accuracy").evaluate(chosen.transform(frame))
    assert accuracy == sum(right) / 90
