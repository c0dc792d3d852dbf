"""Tests for glasses_spark.training.output_kind."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any

import pytest

from glasses_spark.runtime.elephas import LossModelTypeMapper, ModelType
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.model_checks import model_type_of
from glasses_spark.training.output_kind import (
    BINARY,
    CLASSES,
    DISTRIBUTIONS,
    OTHERS,
    REGRESSION,
    output_kind,
    output_kinds,
)

keras = import_keras()
losses = keras.losses


def model(units: int = 1, activation: str | None = None) -> Any:
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(units, activation=activation)])


def own_loss(y_true: Any, y_pred: Any) -> Any:
    return keras.ops.mean(keras.ops.square(y_true - y_pred), axis=-1)


def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """A loss of the user's own that has the name of one of Keras."""
    return keras.losses.binary_crossentropy(y_true, y_pred, from_logits=True)


class OwnCrossentropy(losses.BinaryCrossentropy):  # type: ignore[name-defined]
    pass


class OwnLoss(losses.Loss):  # type: ignore[name-defined]
    def __init__(self, *, from_logits: bool = False) -> None:
        super().__init__()
        self.from_logits = from_logits

    def call(self, y_true: Any, y_pred: Any) -> Any:
        return own_loss(y_true, y_pred)


def test_every_loss_function_of_keras_has_one_meaning() -> None:
    groups = [REGRESSION, BINARY, CLASSES, DISTRIBUTIONS, OTHERS]
    known = [name for group in groups for name in group]
    functions = {
        function.__name__
        for _, function in inspect.getmembers(losses, inspect.isfunction)
        if function.__name__ not in ("get", "serialize", "deserialize")
    }
    # A class whose function is not public has one as well.
    classes: list[Any] = [
        loss
        for _, loss in inspect.getmembers(losses, inspect.isclass)
        if loss is not losses.Loss and loss.__name__ != "LossFunctionWrapper"
    ]
    functions |= {loss().fn.__name__ for loss in classes if loss is not losses.CTC}
    assert sorted(known) == sorted(functions)


@pytest.mark.parametrize(
    "forms",
    [
        ["mse", "MSE", "mean_squared_error", "MeanSquaredError", losses.MeanSquaredError()],
        [losses.serialize(losses.MeanSquaredError()), losses.mean_squared_error],
        [losses.serialize(losses.mean_squared_error), losses.Huber(), "huber", losses.LogCosh()],
        ["poisson", losses.CosineSimilarity(), losses.MeanAbsolutePercentageError()],
    ],
)
def test_a_regression_loss_in_any_form_gives_numbers(forms: list[Any]) -> None:
    for loss in forms:
        for units, activation in ((1, None), (1, "sigmoid"), (3, None), (3, "softmax")):
            kind = output_kind(model(units, activation), loss)
            assert (kind.name, kind.size) == ("numbers", units)
            assert (
                model_type_of(output_kinds(model(units, activation), [loss]))
                == ModelType.REGRESSION
            )


@pytest.mark.parametrize(
    ("loss", "units", "activation", "expected"),
    [
        ("binary_crossentropy", 1, "sigmoid", "probabilities"),
        ("bce", 1, "sigmoid", "probabilities"),
        ("binary_crossentropy", 2, "softmax", "probabilities"),
        (losses.BinaryCrossentropy(from_logits=True), 1, None, "logits"),
        (losses.serialize(losses.BinaryCrossentropy(from_logits=True)), 1, None, "logits"),
        (partial(losses.binary_crossentropy, from_logits=True), 1, None, "logits"),
        (OwnCrossentropy(from_logits=True), 1, None, "logits"),
        (losses.BinaryFocalCrossentropy(from_logits=True), 1, None, "logits"),
        (losses.CategoricalCrossentropy(from_logits=True), 3, None, "logits"),
        (losses.CategoricalFocalCrossentropy(from_logits=True), 3, None, "logits"),
        (losses.SparseCategoricalCrossentropy(from_logits=True), 2, None, "logits"),
        ("sparse_categorical_crossentropy", 3, "softmax", "probabilities"),
        ("categorical_focal_crossentropy", 3, "softmax", "probabilities"),
        ("kl_divergence", 3, "softmax", "probabilities"),
        (losses.Dice(), 1, "sigmoid", "probabilities"),
        # Logits that no activation turns into probabilities are none to this loss.
        ("binary_crossentropy", 1, None, "probabilities"),
        ("hinge", 1, None, "outputs of the loss hinge"),
        (losses.SquaredHinge(), 1, "tanh", "outputs of the loss squared_hinge"),
        (losses.CategoricalHinge(), 3, None, "outputs of the loss categorical_hinge"),
        (losses.Circle(), 3, None, "outputs of the loss circle"),
        ("bce", 3, "sigmoid", "3 independent outputs of the loss binary_crossentropy"),
        (
            losses.BinaryCrossentropy(from_logits=True),
            2,
            None,
            "2 independent outputs of the loss binary_crossentropy",
        ),
        (
            losses.BinaryCrossentropy(from_logits=True),
            1,
            "sigmoid",
            "sigmoid outputs of the loss binary_crossentropy with from_logits=True",
        ),
        ("categorical_crossentropy", 1, None, "one output of the loss categorical_crossentropy"),
        (own_loss, 1, "sigmoid", "probabilities"),
        (own_loss, 3, None, "outputs of the loss own_loss"),
        (OwnLoss(), 3, "softmax", "probabilities"),
        (OwnLoss(from_logits=True), 1, None, "outputs of the loss OwnLoss"),
        ("a_loss_that_only_workers_know", 1, "sigmoid", "probabilities"),
        ({"class_name": "Unknown", "config": {}, "module": "own"}, 1, "sigmoid", "probabilities"),
    ],
)
def test_the_outputs_of_a_classifier(
    loss: Any, units: int, activation: str | None, expected: str
) -> None:
    assert output_kind(model(units, activation), loss).name == expected
    assert model_type_of(output_kinds(model(units, activation), [loss])) == ModelType.CLASSIFICATION


@pytest.mark.parametrize("loss", [own_loss, OwnLoss(), "own", mean_squared_error])
def test_an_own_loss_of_one_number_without_sigmoid_is_a_regression(loss: Any) -> None:
    assert model_type_of(output_kinds(model(), [loss])) == ModelType.REGRESSION
    assert model_type_of(output_kinds(model(1, "sigmoid"), [loss])) == ModelType.CLASSIFICATION


def test_a_loss_registered_with_elephas_has_the_registered_type() -> None:
    LossModelTypeMapper().register_loss("registered_regression", ModelType.REGRESSION)
    LossModelTypeMapper().register_loss(registered, ModelType.CLASSIFICATION)

    assert (
        model_type_of(output_kinds(model(3, "softmax"), ["registered_regression"]))
        == ModelType.REGRESSION
    )
    assert model_type_of(output_kinds(model(), [registered])) == ModelType.CLASSIFICATION


def registered(y_true: Any, y_pred: Any) -> Any:
    return own_loss(y_true, y_pred)


def test_outputs_with_a_shape_are_described() -> None:
    layers = [keras.Input((4,)), keras.layers.Reshape((2, 2, 1))]
    image = keras.Sequential([*layers, keras.layers.Activation("sigmoid")])

    assert output_kind(image, "mse").name == "numbers"
    assert output_kind(image, "mse").size == 4
    assert output_kind(image, "bce").name == "outputs of the shape (2, 2, 1)"
    assert model_type_of(output_kinds(image, ["bce"])) == ModelType.CLASSIFICATION
