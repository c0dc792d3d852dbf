"""Tests of the columns that Spark ML's own evaluators and model selection take."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from pyspark.ml.evaluation import (
    BinaryClassificationEvaluator,
    MulticlassClassificationEvaluator,
    RegressionEvaluator,
)
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import DenseVector
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder, TrainValidationSplit
from pyspark.mllib.evaluation import MulticlassMetrics
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sklearn import metrics as sklearn

from glasses_spark import GlassesEstimator, GlassesModel, build_estimator
from glasses_spark.errors import ConfigError, ScoringError
from glasses_spark.runtime.keras import import_keras
from tests.training.tiny import FEATURES, ROWS, glorot, separable

pytestmark = pytest.mark.slow

keras = import_keras()

COLUMNS = {
    "outputCol": "outputs",
    "rawPredictionCol": "rawPrediction",
    "probabilityCol": "probability",
    "predictionCol": "prediction",
}
SPARSE_LOGITS = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
BINARY_LOGITS = keras.losses.BinaryCrossentropy(from_logits=True)


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    """Features with labels of two and of five classes, a number and three numbers."""
    x, y = separable(ROWS)
    table = [
        (number, a.tolist(), float(b[0]), float(a[:5].argmax()), float(a.sum()), a[:3].tolist())
        for number, (a, b) in enumerate(zip(x, y, strict=True))
    ]
    columns = ["number", "features", "two", "five", "sum", "several"]
    return spark.createDataFrame(table, columns).repartition(2).cache()


def estimator(units: int, activation: str | None, loss: Any, **settings: Any) -> GlassesEstimator:
    dense = keras.layers.Dense(units, activation=activation, kernel_initializer=glorot(1))
    model = keras.Sequential([keras.Input((FEATURES,)), dense])
    model.compile("adam", loss)
    chosen = {
        "categorical": False,
        "mode": "synchronous",
        "epochs": 1,
        "batch_size": 16,
        **COLUMNS,
        **settings,
    }
    return build_estimator(model, **chosen)


def transformed(fitted: GlassesModel, rows: DataFrame) -> tuple[Any, dict[str, Any]]:
    """Return what Keras predicts, and the columns of Spark as arrays."""
    table = fitted.transform(rows).orderBy("number").collect()
    arrays = {name: np.array([np.asarray(row[name]) for row in table]) for name in COLUMNS.values()}
    return fitted.keras_model().predict(separable(ROWS)[0], verbose=0).astype(float), arrays


def softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("units", "activation", "loss", "label", "settings"),
    [
        pytest.param(1, "sigmoid", "binary_crossentropy", "two", {}, id="sigmoid"),
        pytest.param(1, None, BINARY_LOGITS, "two", {}, id="one_logit"),
        pytest.param(2, "softmax", "sparse_categorical_crossentropy", "two", {}, id="softmax-2"),
        pytest.param(
            5,
            "softmax",
            "categorical_crossentropy",
            "five",
            {"categorical": True, "nb_classes": 5},
            id="softmax-5",
        ),
        pytest.param(5, None, SPARSE_LOGITS, "five", {}, id="logits-5"),
    ],
)
def test_a_classifier_has_the_columns_of_spark_ml(
    rows: DataFrame,
    units: int,
    activation: str | None,
    loss: Any,
    label: str,
    settings: dict[str, Any],
) -> None:
    fitted = estimator(units, activation, loss, labelCol=label, **settings).fit(rows)
    outputs, columns = transformed(fitted, rows)
    if activation is None:
        outputs = 1 / (1 + np.exp(-outputs)) if units == 1 else softmax(outputs)
    expected = np.hstack([1 - outputs, outputs]) if units == 1 else outputs
    expected = expected / expected.sum(axis=1, keepdims=True)

    np.testing.assert_allclose(columns["probability"], expected, atol=1e-6)
    np.testing.assert_allclose(
        softmax(columns["rawPrediction"] * (1 if units > 1 else 0.5)), expected, atol=1e-6
    )
    assert columns["prediction"].tolist() == expected.argmax(axis=1).tolist()
    scored = fitted.transform(rows)
    assert dict(scored.dtypes)["outputs"] == "array<double>"
    assert (fitted.numFeatures, fitted.numClasses) == (FEATURES, expected.shape[1])
    first = scored.orderBy("number").limit(5).collect()
    for row, x in zip(first, separable(ROWS)[0], strict=False):
        assert fitted.predict(DenseVector(x)) == row.prediction
        np.testing.assert_allclose(fitted.predictProbability(x), row.probability, atol=1e-6)
        np.testing.assert_allclose(fitted.predictRaw(x.tolist()), row.rawPrediction, atol=1e-4)

    truth = np.array([row[label] for row in rows.orderBy("number").collect()])
    predicted = expected.argmax(axis=1)
    multiclass: Any = MulticlassClassificationEvaluator(labelCol=label, metricName="accuracy")
    assert multiclass.evaluate(scored) == pytest.approx(np.mean(truth == predicted))
    log_loss = multiclass.setMetricName("logLoss").evaluate(scored)
    labels = list(range(expected.shape[1]))
    assert log_loss == pytest.approx(sklearn.log_loss(truth, expected, labels=labels), abs=1e-5)
    with pytest.warns(FutureWarning, match="SparkSession.builder"):  # of the old package itself
        metrics = MulticlassMetrics(scored.select("prediction", label).rdd.map(tuple))
    assert metrics.accuracy == pytest.approx(np.mean(truth == predicted))
    if expected.shape[1] == 2:
        for column in ("rawPrediction", "probability"):
            evaluator = BinaryClassificationEvaluator(labelCol=label, rawPredictionCol=column)
            area = sklearn.roc_auc_score(truth, expected[:, 1])
            assert evaluator.evaluate(scored) == pytest.approx(area, abs=1e-6)


def test_a_regression_of_one_number_is_a_double(rows: DataFrame) -> None:
    columns = {"outputCol": "outputs", "rawPredictionCol": "", "probabilityCol": ""}
    fitted = estimator(1, None, "mse", labelCol="sum", **columns).fit(rows)
    scored = fitted.transform(rows)
    expected = fitted.keras_model().predict(separable(ROWS)[0], verbose=0)[:, 0]
    rmse = RegressionEvaluator(labelCol="sum").evaluate(scored)
    error = expected - separable(ROWS)[0].sum(axis=1)
    assert rmse == pytest.approx(float(np.sqrt(np.mean(error**2))), abs=1e-5)


def test_a_regression_of_several_numbers_is_a_vector(rows: DataFrame) -> None:
    columns = {"outputCol": "outputs", "rawPredictionCol": "", "probabilityCol": ""}
    fitted = estimator(3, None, "mse", labelCol="several", **columns).fit(rows)
    expected = fitted.keras_model().predict(separable(ROWS)[0], verbose=0)
    scored = fitted.transform(rows)
    for number in range(3):
        one = scored.select(
            vector_to_array(F.col("prediction"))[number].alias("prediction"),
            F.col("several")[number].alias("label"),
        )
        error = expected[:, number] - separable(ROWS)[0][:, number]
        mae = RegressionEvaluator(metricName="mae").evaluate(one)
        assert mae == pytest.approx(float(np.abs(error).mean()), abs=1e-5)


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        ([0.5, 0.5], lambda p: p > 0.5),
        ([0.8, 0.2], lambda p: p / 0.2 > (1 - p) / 0.8),
        ([1.0, 0.0], lambda p: p > 0),
        ([0.0, 1.0], lambda p: p >= 1),
    ],
)
def test_thresholds_divide_the_probabilities(
    rows: DataFrame, thresholds: list[float], expected: Any
) -> None:
    fitted = estimator(
        1, "sigmoid", "binary_crossentropy", labelCol="two", thresholds=thresholds
    ).fit(rows)
    outputs, columns = transformed(fitted, rows)
    assert columns["prediction"].tolist() == expected(outputs[:, 0]).astype(float).tolist()
    own = [fitted.predict(x) for x in separable(ROWS)[0]]
    assert own == columns["prediction"].tolist()


class EachOutput(RegressionEvaluator):
    """Mean of Spark's own metric over the numbers of a vector."""

    def _evaluate(self, dataset: DataFrame) -> float:
        prediction, label = vector_to_array(F.col("prediction")), F.col("several")
        parts = [
            dataset.select(prediction[number].alias("prediction"), label[number].alias("label"))
            for number in range(3)
        ]
        return float(np.mean([RegressionEvaluator().evaluate(part) for part in parts]))


@pytest.mark.parametrize(
    ("selection", "parts"),
    [
        pytest.param(CrossValidator, {"numFolds": 2}, id="CrossValidator"),
        pytest.param(
            TrainValidationSplit,
            {"trainRatio": 0.5},
            id="TrainValidationSplit",
            marks=pytest.mark.rotated,
        ),
    ],
)
@pytest.mark.parametrize(
    ("units", "activation", "loss", "label", "kind", "settings"),
    [
        pytest.param(
            1,
            "sigmoid",
            "binary_crossentropy",
            "two",
            BinaryClassificationEvaluator,
            {},
            id="sigmoid",
        ),
        pytest.param(
            2,
            "softmax",
            "sparse_categorical_crossentropy",
            "two",
            BinaryClassificationEvaluator,
            {"metricName": "areaUnderPR"},
            id="softmax-2",
        ),
        pytest.param(
            5,
            "softmax",
            "sparse_categorical_crossentropy",
            "five",
            MulticlassClassificationEvaluator,
            {"metricName": "logLoss"},
            id="softmax-5",
        ),
        pytest.param(1, None, "mse", "sum", RegressionEvaluator, {}, id="regression-1"),
        pytest.param(3, None, "mse", "several", EachOutput, {}, id="regression-3"),
    ],
)
def test_model_selection_of_spark_works_with_its_own_evaluators(
    rows: DataFrame,
    selection: Any,
    parts: dict[str, Any],
    units: int,
    activation: str | None,
    loss: str,
    label: str,
    kind: Any,
    settings: dict[str, Any],
) -> None:
    evaluator = kind(labelCol=label, **settings)
    columns = {} if activation else {"rawPredictionCol": "", "probabilityCol": ""}
    estimator_ = estimator(
        units, activation, loss, labelCol=label, num_workers=1, batch_size=4, **columns
    )
    # Without training the first one can only be worse.
    grid = ParamGridBuilder().addGrid(estimator_.learning_rate, [1e-9, 0.05]).build()
    fitted = selection(
        estimator=estimator_, estimatorParamMaps=grid, evaluator=evaluator, seed=1, **parts
    ).fit(rows)
    best = fitted.bestModel
    assert isinstance(best, GlassesModel)
    assert best.getLabelCol() == label
    assert "prediction" in fitted.transform(rows).columns
    metrics = fitted.avgMetrics if selection is CrossValidator else fitted.validationMetrics
    worse, better = metrics if evaluator.isLargerBetter() else metrics[::-1]
    assert worse < better


@pytest.mark.parametrize(
    ("units", "loss", "label", "settings", "reason"),
    [
        (1, "mse", "sum", {"predictionCol": ""}, "rawPredictionCol needs a model that predicts"),
        (
            1,
            "mse",
            "sum",
            {"predictionCol": "", "rawPredictionCol": ""},
            "probabilityCol needs a model that predicts classes, found numbers, 1 for a row",
        ),
        (5, SPARSE_LOGITS, "five", {"thresholds": [0.5, 0.5]}, "thresholds: .* 5 classes"),
        (5, SPARSE_LOGITS, "five", {"thresholds": [0.0, 0.0, 1, 1, 1]}, "at most one of them 0"),
    ],
)
def test_columns_that_the_predictions_do_not_have_are_refused_before_the_fit(
    rows: DataFrame, units: int, loss: Any, label: str, settings: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ScoringError, match=reason):
        estimator(units, None, loss, labelCol=label, **settings).fit(rows)


def test_equal_names_are_refused(rows: DataFrame) -> None:
    fitted = estimator(1, "sigmoid", "binary_crossentropy", labelCol="two").fit(rows)
    fitted.setPredictionCol("outputs")
    with pytest.raises(ScoringError, match="output column 'outputs' exists already"):
        fitted.transform(rows)


@pytest.mark.parametrize("name", ["probabilityCol", "predictionCol", "thresholds"])
def test_a_model_of_several_outputs_has_no_such_columns(name: str) -> None:
    value: Any = [0.5, 0.5] if name == "thresholds" else "x"
    x = keras.Input((FEATURES,))
    outputs = [keras.layers.Dense(1, activation="sigmoid", name=each)(x) for each in ("a", "b")]
    model = keras.Model(x, outputs)
    model.compile("adam", ["binary_crossentropy"] * 2)
    with pytest.raises(ConfigError, match=f"{name} needs a model with one output, found a, b"):
        build_estimator(model, 1, 4, categorical=False, labelCol=["a", "b"], **{name: value})


@pytest.mark.parametrize("suffix", ["", ".h5"])
def test_they_are_saved_with_the_model(rows: DataFrame, tmp_path: Any, suffix: str) -> None:
    made = estimator(1, "sigmoid", "binary_crossentropy", labelCol="two", thresholds=[0.7, 0.3])
    fitted, path = made.fit(rows), str(tmp_path / f"model{suffix}")
    fitted.save(path)
    loaded = GlassesModel.load(path)
    assert loaded.ml_params() == fitted.ml_params() == made.ml_params()
    own = [row.probability for row in fitted.transform(rows).orderBy("number").collect()]
    assert [row.probability for row in loaded.transform(rows).orderBy("number").collect()] == own


def test_the_summary_tells_what_the_fit_did(rows: DataFrame) -> None:
    made = estimator(1, "sigmoid", "binary_crossentropy", labelCol="two", num_workers=2)
    fitted = made.setEpochs(3).fit(rows)
    summary = fitted.summary
    assert fitted.hasSummary
    assert (summary.totalIterations, summary.rows, summary.workers) == (3, ROWS, 2)
    assert summary.objectiveHistory == [epoch["loss"] for epoch in fitted.history]
    assert 0 < summary.seconds < 600
    bare = GlassesModel(keras_model_config=fitted.get_keras_model_config(), weights=fitted.weights)
    assert not bare.hasSummary
    with pytest.raises(ScoringError, match="no history of a fit"):
        _ = bare.summary


def test_a_row_of_another_length_is_refused_without_spark(rows: DataFrame) -> None:
    fitted = estimator(1, "sigmoid", "binary_crossentropy", labelCol="two").fit(rows)
    with pytest.raises(ScoringError, match=f"expected {FEATURES} numbers for an input of"):
        fitted.predict([1.0, 2.0])


def test_the_raw_prediction_of_a_row_is_that_of_its_column_where_probabilities_reach_one(
    rows: DataFrame,
) -> None:
    fitted = estimator(1, "sigmoid", "binary_crossentropy", labelCol="two").fit(rows)
    large = rows.withColumn("features", F.transform("features", lambda x: 1000 * x))
    table = fitted.transform(large).orderBy("number").limit(20).collect()
    assert {row.outputs[0] for row in table} & {0.0, 1.0}
    for row in table:
        np.testing.assert_allclose(fitted.predictRaw(row.features), row.rawPrediction, rtol=1e-5)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_row_with_a_number_that_is_not_finite_is_refused_without_spark(
    rows: DataFrame, value: float
) -> None:
    fitted = estimator(1, "sigmoid", "binary_crossentropy", labelCol="two").fit(rows)
    with pytest.raises(ScoringError, match="features: expected finite numbers in every row"):
        fitted.predict([value] * FEATURES)


def test_a_model_is_copied_and_pickled_after_a_transform(rows: DataFrame) -> None:
    fitted = estimator(1, "sigmoid", "binary_crossentropy", labelCol="two").fit(rows)
    before = fitted.transform(rows).orderBy("number").collect()
    for copied in (fitted.copy(), pickle.loads(pickle.dumps(fitted))):
        assert copied.transform(rows).orderBy("number").collect() == before
