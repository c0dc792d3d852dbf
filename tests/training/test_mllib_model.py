"""Tests for glasses_spark.training.mllib_model."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from elephas.spark_model import SparkMLlibModel
from elephas.utils.rdd_utils import to_labeled_point
from pyspark.mllib.linalg import DenseMatrix, DenseVector, Matrices, SparseVector, Vectors
from pyspark.sql import SparkSession

from glasses_spark import GlassesSparkMLlibModel
from glasses_spark.errors import ConfigError

X = np.random.default_rng(0).normal(size=(12, 4))


def network(outputs: int = 3) -> Any:
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(outputs, "softmax")])
    model.compile("sgd", "categorical_crossentropy", metrics=["accuracy"])
    return model


def test_a_fit_encodes_class_numbers(spark: SparkSession) -> None:
    one_hot = np.eye(3)[np.arange(12) % 3]
    points = to_labeled_point(spark.sparkContext, X, one_hot, categorical=True)
    model = GlassesSparkMLlibModel(network(), num_workers=2)
    before = model.weights
    model.fit(points, epochs=1, batch_size=4, categorical=True)
    assert isinstance(model, SparkMLlibModel)
    assert not np.array_equal(model.weights[0], before[0])
    assert set(model.training_histories[0]) >= {"loss", "accuracy"}


def test_vectors_and_matrices_are_scored_as_what_they_are(spark: SparkSession) -> None:
    model = GlassesSparkMLlibModel(network())
    expected = model.master_network.predict(X, verbose=0)

    vector = model.predict(Vectors.dense(X[0]))
    assert isinstance(vector, DenseVector)
    np.testing.assert_allclose(vector.toArray(), expected[0], rtol=1e-5)
    sparse = model.predict(SparseVector(4, [1], [2.0]))
    assert len(sparse) == 3
    matrix = model.predict(Matrices.dense(12, 4, X.ravel(order="F")))
    assert isinstance(matrix, DenseMatrix)
    np.testing.assert_allclose(matrix.toArray(), expected, rtol=1e-5)
    rows = spark.sparkContext.parallelize([Vectors.dense(row) for row in X])
    np.testing.assert_allclose(model.predict(rows), expected, rtol=1e-5)


def test_a_point_has_one_label() -> None:
    inputs = keras.Input((4,))
    several = keras.Model(inputs, [keras.layers.Dense(1)(inputs), keras.layers.Dense(1)(inputs)])
    several.compile("sgd", ["mse", "mse"])
    with pytest.raises(ConfigError, match=r"one label, and the model has 2 outputs\. Use"):
        GlassesSparkMLlibModel(several).fit(None)  # type: ignore[arg-type]
