"""Tests for glasses_spark.scoring.prediction_kind."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql.types import ArrayType, DoubleType, StructField

from glasses_spark.runtime.keras import import_keras
from glasses_spark.scoring.prediction_kind import (
    PredictionKind,
    kind_without_loss,
    last_activation,
    output_size,
)

keras = import_keras()
layers = keras.layers


def after_dense(*last: Any) -> Any:
    return keras.Sequential([keras.Input((4,)), *last])


def functional(*last: Any) -> Any:
    x = keras.Input((4,))
    y = x
    for function in last:
        y = function(y)
    # The last layer of the list is not the one that gives the output.
    side = layers.Dense(2, activation="relu")(y)
    model = keras.Model(x, [y, side])
    return keras.Model(model.inputs[0], model.outputs[0])


def sigmoid(x: Any) -> Any:
    """A function of the user's own, with the name of an activation."""
    return 2 * x


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (after_dense(layers.Dense(3, activation="softmax")), "softmax"),
        (after_dense(layers.Dense(3), layers.Softmax()), "softmax"),
        (after_dense(layers.Dense(3), layers.Activation("sigmoid")), "sigmoid"),
        (after_dense(after_dense(layers.Dense(3, activation="sigmoid"))), "sigmoid"),
        (functional(layers.Dense(3, activation="softmax")), "softmax"),
        (functional(layers.Dense(3), keras.ops.sigmoid), "sigmoid"),
        (functional(after_dense(layers.Dense(3, activation="softmax"))), "softmax"),
        (after_dense(layers.Dense(3)), ""),
        (after_dense(layers.Dense(3, activation="relu")), ""),
        (after_dense(layers.Dense(3, activation="softmax"), layers.Dense(1)), ""),
        (after_dense(layers.Dense(3, activation=sigmoid)), ""),
    ],
)
def test_the_activation_is_that_of_the_layer_that_gives_the_output(
    model: Any, expected: str
) -> None:
    assert last_activation(model) == expected


def test_the_size_is_the_number_of_values_in_a_row() -> None:
    assert output_size(after_dense(layers.Dense(3))) == 3
    assert output_size(after_dense(layers.Reshape((2, 2, 1)))) == 4
    assert output_size(keras.Sequential([keras.Input((None, 2)), layers.Dense(3)])) == 0


@pytest.mark.parametrize(
    ("units", "activation", "regression", "expected"),
    [
        (1, "sigmoid", False, "probabilities"),
        (3, "softmax", False, "probabilities"),
        (1, None, False, "outputs of an unknown loss"),
        (1, None, True, "numbers"),
        (3, "softmax", True, "numbers"),
    ],
)
def test_a_model_without_a_loss_has_the_kind_of_its_activation(
    units: int, activation: str | None, regression: bool, expected: str
) -> None:
    model = after_dense(layers.Dense(units, activation=activation))
    kind = kind_without_loss(model, regression=regression)
    assert kind == PredictionKind(expected, units)


def test_the_metadata_of_a_column_hold_the_kind() -> None:
    kind = PredictionKind("logits", 3)
    doubles = ArrayType(DoubleType())

    assert PredictionKind.of_column(StructField("p", doubles, True, kind.metadata())) == kind
    assert PredictionKind.of_column(StructField("p", doubles)) == PredictionKind("", 0)
