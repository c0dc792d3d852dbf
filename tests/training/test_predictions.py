"""Tests that the predictions of a fit are those of its Keras model, and are evaluated as such."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.sql import DataFrame, SparkSession
from sklearn import metrics as sklearn

from glasses_spark import GlassesEvaluator, GlassesModel, build_estimator, evaluate
from glasses_spark.errors import ScoringError
from glasses_spark.evaluation.class_metrics import ClassMetrics
from glasses_spark.evaluation.metrics import Metrics
from glasses_spark.evaluation.regression_metrics import RegressionMetrics
from glasses_spark.runtime.keras import import_keras
from tests.training.tiny import FEATURES, ROWS, glorot, separable

# Each fits a model with Spark.
pytestmark = pytest.mark.slow

keras = import_keras()


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    """Features with labels of two and of three classes, a number and an array of numbers."""
    x, y = separable(ROWS)
    table = [
        (number, a.tolist(), float(b[0]), float(number % 3), float(a.sum()), a[:3].tolist())
        for number, (a, b) in enumerate(zip(x, y, strict=True))
    ]
    columns = ["number", "features", "label", "class", "sum", "several"]
    return spark.createDataFrame(table, columns).repartition(2).cache()


def network(units: int, activation: str | None = None, *more: Any) -> Any:
    dense = keras.layers.Dense(units, activation=activation, kernel_initializer=glorot(1))
    return keras.Sequential([keras.Input((FEATURES,)), dense, *more])


def fit(model: Any, rows: DataFrame, loss: Any, **settings: Any) -> tuple[GlassesModel, Any]:
    """Return the fitted model, and what Keras predicts with it for all rows."""
    # Keras writes a loss of the user's own to its config, but cannot read it there.
    model.compile("adam", "mse" if inspect.isfunction(loss) else loss)
    estimator = build_estimator(
        model, 1, 16, loss=loss, **{"categorical": False, "mode": "synchronous", **settings}
    )
    fitted = estimator.fit(rows)
    assert isinstance(fitted, GlassesModel)
    return fitted, fitted.keras_model().predict(separable(ROWS)[0], verbose=0)


def predictions_of(fitted: GlassesModel, rows: DataFrame) -> Any:
    table = fitted.transform(rows).orderBy("number").collect()
    return np.array([row.prediction for row in table])


def test_a_regression_of_one_number_is_a_double(rows: DataFrame) -> None:
    fitted, expected = fit(network(1), rows, keras.losses.MeanSquaredError(), labelCol="sum")

    scored = fitted.transform(rows)
    assert dict(scored.dtypes)["prediction"] == "double"
    np.testing.assert_allclose(predictions_of(fitted, rows), expected[:, 0], atol=1e-6)
    of_sums = scored.drop("label").withColumnRenamed("sum", "label")
    metrics = evaluate(of_sums)
    assert isinstance(metrics, RegressionMetrics)
    sums = separable(ROWS)[0].sum(axis=1)
    assert metrics.r2 == pytest.approx(sklearn.r2_score(sums, expected[:, 0]), abs=1e-5)
    rmse = GlassesEvaluator(metricName="rmse", labelCol="sum").evaluate(scored)
    assert rmse == pytest.approx(metrics.rmse)


@pytest.mark.parametrize("loss", ["mse", keras.losses.Huber()])
def test_a_regression_of_several_numbers_keeps_all(rows: DataFrame, loss: Any) -> None:
    fitted, expected = fit(network(3), rows, loss, labelCol="several")

    assert dict(fitted.transform(rows).dtypes)["prediction"] == "array<double>"
    np.testing.assert_allclose(predictions_of(fitted, rows), expected, atol=1e-6)
    with pytest.raises(ScoringError, match="expected one number as prediction of a regression"):
        evaluate(fitted.transform(rows))


def test_an_autoencoder_keeps_its_image_row_by_row(rows: DataFrame) -> None:
    image = network(FEATURES, "sigmoid", keras.layers.Reshape((3, 2, 1)))
    flat = keras.Sequential([keras.Input((FEATURES,)), *image.layers, keras.layers.Flatten()])
    fitted, expected = fit(flat, rows, "binary_crossentropy", labelCol="features")
    shaped = GlassesModel(
        keras_model_config=image.to_json(), weights=fitted.weights, model_type=fitted.model_type
    )

    assert expected.shape == (ROWS, FEATURES)
    np.testing.assert_allclose(predictions_of(fitted, rows), expected, atol=1e-6)
    pictures = shaped.keras_model().predict(separable(ROWS)[0], verbose=0)
    assert pictures.shape == (ROWS, 3, 2, 1)
    np.testing.assert_allclose(
        predictions_of(shaped, rows), pictures.reshape(ROWS, FEATURES), atol=1e-6
    )
    with pytest.raises(ScoringError, match="6 independent outputs of the loss binary_crossentropy"):
        evaluate(fitted.transform(rows))


def test_logits_are_predicted_as_they_are_and_evaluated_as_logits(rows: DataFrame) -> None:
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    fitted, expected = fit(network(1), rows, loss, rawPredictionCol="rawPrediction")
    labels = separable(ROWS)[1][:, 0]
    probabilities = 1 / (1 + np.exp(-expected[:, 0].astype(float)))

    scored = fitted.transform(rows).cache()
    table = scored.orderBy("number").collect()
    metrics = evaluate(scored)

    np.testing.assert_allclose([row.prediction for row in table], expected, atol=1e-6)
    logits = [row.prediction[0] for row in table]
    assert [list(row.rawPrediction) for row in table] == [[-logit, logit] for logit in logits]
    assert isinstance(metrics, Metrics)
    assert metrics.log_loss == pytest.approx(sklearn.log_loss(labels, probabilities), abs=1e-6)
    assert metrics.accuracy == sklearn.accuracy_score(labels, probabilities >= 0.5)
    assert GlassesEvaluator().evaluate(scored) == pytest.approx(metrics.log_loss)
    area = BinaryClassificationEvaluator(rawPredictionCol="rawPrediction").evaluate(scored)
    assert area == pytest.approx(metrics.roc_auc)


@pytest.mark.parametrize(
    ("activation", "loss", "categorical"),
    [
        ("softmax", "categorical_crossentropy", True),
        (None, keras.losses.SparseCategoricalCrossentropy(from_logits=True), False),
    ],
)
def test_several_classes_are_evaluated_as_scikit_learn_does(
    rows: DataFrame, activation: str | None, loss: Any, categorical: bool
) -> None:
    settings = {"categorical": categorical, "nb_classes": 3 if categorical else None}
    fitted, outputs = fit(network(3, activation), rows, loss, labelCol="class", **settings)
    labels = np.arange(ROWS) % 3
    outputs = outputs.astype(float)
    if activation is None:
        outputs = np.exp(outputs) / np.exp(outputs).sum(axis=1, keepdims=True)

    metrics = evaluate(fitted.transform(rows).drop("label").withColumnRenamed("class", "label"))

    assert isinstance(metrics, ClassMetrics)
    guess = outputs.argmax(axis=1)
    assert metrics.as_dict() == pytest.approx(
        {
            "rows": ROWS,
            "classes": 3,
            "accuracy": sklearn.accuracy_score(labels, guess),
            "log_loss": sklearn.log_loss(labels, outputs / outputs.sum(axis=1, keepdims=True)),
            "macro_f1": sklearn.f1_score(labels, guess, average="macro"),
            "weighted_f1": sklearn.f1_score(labels, guess, average="weighted"),
            "roc_auc": sklearn.roc_auc_score(
                labels, outputs / outputs.sum(axis=1, keepdims=True), multi_class="ovr"
            ),
        },
        abs=1e-5,
    )


def test_margins_are_refused_by_the_name_of_their_loss(rows: DataFrame) -> None:
    fitted, expected = fit(network(1, "tanh"), rows, keras.losses.Hinge())

    np.testing.assert_allclose(predictions_of(fitted, rows), expected, atol=1e-6)
    with pytest.raises(ScoringError, match="found outputs of the loss hinge"):
        GlassesEvaluator(metricName="accuracy").evaluate(fitted.transform(rows))


def test_a_user_can_say_what_the_outputs_of_an_own_loss_are(rows: DataFrame, tmp_path: Any) -> None:
    def own_loss(y_true: Any, y_pred: Any) -> Any:
        import keras

        return keras.losses.categorical_crossentropy(y_true, y_pred, from_logits=True)

    fitted, expected = fit(network(2), rows, own_loss, categorical=True, nb_classes=2)
    with pytest.raises(ScoringError, match="found outputs of the loss own_loss"):
        evaluate(fitted.transform(rows))

    fitted.set_prediction_kind("logits")
    fitted.save(str(tmp_path / "model"))
    fitted.save(str(tmp_path / "model.h5"))

    labels, difference = separable(ROWS)[1][:, 0], expected[:, 1] - expected[:, 0]
    for name in ("model", "model.h5"):
        metrics = evaluate(GlassesModel.load(str(tmp_path / name)).transform(rows))
        assert isinstance(metrics, Metrics)
        assert metrics.accuracy == sklearn.accuracy_score(labels, difference >= 0)
    with pytest.raises(ScoringError, match="expected one of probabilities, logits, numbers, got"):
        fitted.set_prediction_kind("margins")


@pytest.mark.parametrize(
    ("model", "loss", "reason"),
    [
        (lambda: network(1), "mse", "predicts classes, found numbers, 1 for a row. Clear rawPred"),
        (
            lambda: network(1, "sigmoid", keras.layers.Reshape((1,))),
            "binary_crossentropy",
            r"ends in one sigmoid unit, found .*Clear rawPred",
        ),
    ],
)
def test_a_model_without_a_logit_is_refused_before_a_row_is_read(
    model: Any, loss: str, reason: str
) -> None:
    network = model()
    network.compile("sgd", loss)
    estimator = build_estimator(network, 1, 16, categorical=False, rawPredictionCol="raw")
    with pytest.raises(ScoringError, match=reason):
        estimator.fit(None)


def test_a_fitted_model_without_a_logit_is_refused_before_a_row_is_scored(rows: DataFrame) -> None:
    fitted, _ = fit(network(1), rows, "mse", labelCol="sum")
    fitted.set_raw_prediction_col("raw")
    with pytest.raises(ScoringError, match=r"needs .* predicts classes, found numbers, 1 for"):
        fitted.transform(rows)
