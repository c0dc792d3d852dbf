"""Tests of ``evaluate`` and ``parent`` of fitted models."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from pyspark.ml.linalg import Vectors
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from sklearn import metrics as sklearn

from glasses_spark import GlassesEstimator, GlassesModel, build_estimator
from glasses_spark.errors import ScoringError
from glasses_spark.runtime.keras import import_keras
from tests.training.tiny import FEATURES, ROWS, glorot, separable

pytestmark = pytest.mark.slow

keras = import_keras()


@pytest.fixture(scope="module")
def rows(spark: SparkSession) -> DataFrame:
    """Features with labels of two classes, of three classes in two forms, and numbers."""
    x, y = separable(ROWS)
    classes = x[:, :3].argmax(axis=1)
    table = [
        (
            a.tolist(),
            float(b[0]),
            int(c),
            Vectors.dense(np.eye(3)[c]),
            float(a.sum()),
            [float(a.sum())],
            a[:3].tolist(),
        )
        for a, b, c in zip(x, y, classes, strict=True)
    ]
    names = ["features", "two", "three", "one_hot", "sum", "sums", "several"]
    return spark.createDataFrame(table, names).repartition(2).cache()


def estimator_of(units: int, activation: str | None, loss: str, label: str) -> GlassesEstimator:
    dense = keras.layers.Dense(units, activation=activation, kernel_initializer=glorot(1))
    model = keras.Sequential([keras.Input((FEATURES,)), dense])
    model.compile("adam", loss)
    return build_estimator(
        model, 1, 16, categorical=False, num_workers=1, verbose=0, labelCol=label
    )


def predicted(model: GlassesModel) -> Any:
    return model.to_keras().predict(separable(ROWS)[0], verbose=0).astype(float)


def test_a_binary_classifier_has_the_metrics_of_scikit_learn(rows: DataFrame) -> None:
    fitted = estimator_of(1, "sigmoid", "binary_crossentropy", "two").fit(rows)
    truth, p = separable(ROWS)[1][:, 0], predicted(fitted)[:, 0]
    summary: Any = fitted.evaluate(rows)
    assert (summary.numInstances, summary.labelCol) == (ROWS, "two")
    assert summary.accuracy == pytest.approx(np.mean((p > 0.5) == truth))
    assert summary.logLoss == pytest.approx(sklearn.log_loss(truth, p), abs=1e-6)
    assert summary.areaUnderROC == pytest.approx(sklearn.roc_auc_score(truth, p), abs=1e-6)
    weighted = {"average": "weighted", "zero_division": 0.0}
    for name, score in (
        ("weightedPrecision", sklearn.precision_score),
        ("weightedRecall", sklearn.recall_score),
        ("weightedFMeasure", sklearn.f1_score),
    ):
        assert getattr(summary, name) == pytest.approx(score(truth, p > 0.5, **weighted))
    assert 0 < summary.areaUnderPR <= 1
    assert summary.predictions.columns == [*rows.columns, "prediction"]


@pytest.mark.parametrize(
    ("label", "loss"),
    [("three", "sparse_categorical_crossentropy"), ("one_hot", "categorical_crossentropy")],
)
def test_classes_may_be_numbers_or_one_hot_vectors(rows: DataFrame, label: str, loss: str) -> None:
    fitted = estimator_of(3, "softmax", loss, label).fit(rows)
    truth, p = separable(ROWS)[0][:, :3].argmax(axis=1), predicted(fitted)
    p = p / p.sum(axis=1, keepdims=True)  # the outputs are float32
    summary: Any = fitted.evaluate(rows)
    assert summary.accuracy == pytest.approx(np.mean(p.argmax(axis=1) == truth))
    assert summary.logLoss == pytest.approx(sklearn.log_loss(truth, p), abs=1e-5)
    assert summary.areaUnderROC is None


@pytest.mark.parametrize(("units", "label"), [(1, "sum"), (1, "sums"), (3, "several")])
def test_a_regression_has_the_mean_of_the_metrics_of_its_numbers(
    rows: DataFrame, units: int, label: str
) -> None:
    fitted = estimator_of(units, None, "mse", label).fit(rows)
    x = separable(ROWS)[0]
    truth = x[:, :3] if units == 3 else x.sum(axis=1, keepdims=True)
    summary: Any = fitted.evaluate(rows)
    p = predicted(fitted)
    assert summary.meanSquaredError == pytest.approx(sklearn.mean_squared_error(truth, p), rel=1e-5)
    assert summary.meanAbsoluteError == pytest.approx(
        sklearn.mean_absolute_error(truth, p), rel=1e-5
    )
    assert summary.r2 == pytest.approx(sklearn.r2_score(truth, p), rel=1e-4)
    roots = np.sqrt(((truth - p) ** 2).mean(axis=0)).mean()
    assert summary.rootMeanSquaredError == pytest.approx(roots, rel=1e-5)


def test_rows_without_a_label_do_not_count_and_nothing_stays_persisted(
    spark: SparkSession, rows: DataFrame
) -> None:
    fitted = estimator_of(1, "sigmoid", "binary_crossentropy", "two").fit(rows)
    before = spark.sparkContext._jsc.getPersistentRDDs().size()
    unknown = rows.withColumn("two", F.when(F.col("sum") > 0, F.col("two")))
    assert fitted.evaluate(unknown).numInstances == rows.where("sum > 0").count()
    with pytest.raises(ScoringError, match="expected rows with labels"):
        fitted.evaluate(rows.limit(0))
    with pytest.raises(ScoringError, match="expected a column 'two', got the columns"):
        fitted.evaluate(rows.drop("two"))
    assert spark.sparkContext._jsc.getPersistentRDDs().size() == before


def test_the_parent_is_the_estimator_of_the_fit(rows: DataFrame) -> None:
    estimator = estimator_of(1, "sigmoid", "binary_crossentropy", "two")
    (fitted,) = estimator.fit(rows, [{estimator.batch_size: 7}])
    assert fitted.hasParent
    assert fitted.parent.uid == estimator.uid
    assert fitted.parent.getOrDefault("batch_size") == 7
    assert fitted.copy().parent is fitted.parent
    again = pickle.loads(pickle.dumps(fitted))
    assert (again.hasParent, again.parent) == (False, None)
    assert again.evaluate(rows) is not None
