"""Tests for glasses_spark.training.pair_fields."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from glasses_spark.training.pair_fields import feature_fields, label_fields


def network(units: int = 3) -> Any:
    first, second = keras.Input((2, 2), name="a"), keras.Input((1,), dtype="int64", name="b")
    joined = keras.layers.Concatenate()([keras.layers.Flatten()(first), second])
    return keras.Model([first, second], keras.layers.Dense(units, name="out")(joined))


def test_features_have_the_shapes_and_types_of_the_inputs() -> None:
    fields = feature_fields(network())
    assert [(f.column, f.port, f.dtype, f.shape, f.sql_type) for f in fields] == [
        ("features", "a", "float32", (2, 2), "array<float>"),
        ("features_1", "b", "int64", (1,), "array<bigint>"),
    ]


@pytest.mark.parametrize(
    ("loss", "shape", "is_number"),
    [
        ("mse", (3,), False),
        ("sparse_categorical_crossentropy", (1,), True),
        ("categorical_crossentropy", (3,), False),
        (lambda y, p: y, (None,), False),
    ],
)
def test_labels_have_the_shape_that_the_loss_takes(
    loss: Any, shape: tuple[int | None, ...], *, is_number: bool
) -> None:
    (field,) = label_fields(network(), loss)
    assert (field.column, field.shape, field.is_number) == ("label", shape, is_number)


def test_class_numbers_are_one_number_and_an_output_without_a_loss_has_no_label() -> None:
    (field,) = label_fields(network(), "categorical_crossentropy", as_classes=True)
    assert field.is_number
    assert label_fields(network(), [None]) == []
