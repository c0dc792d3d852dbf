"""Tests for glasses_spark.training.weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.weights import (
    WeightLayout,
    frozen_weights,
    layout_of,
    read_vector,
    write_vector,
)
from tests.training.tiny import tiny_model

LAYOUT = WeightLayout(trainable=((2, 3), (3,)), statistics=((2,),), dtype="float32")


def with_frozen_layer() -> Any:
    keras = import_keras()
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(3, trainable=False),
            layers.BatchNormalization(),
            layers.Dense(1),
        ]
    )
    model.compile(loss="mse")
    return model


def test_a_vector_is_split_into_the_weights_in_their_order() -> None:
    assert (LAYOUT.trainable_size, LAYOUT.size, LAYOUT.nbytes) == (9, 11, 44)
    parts = LAYOUT.split(np.arange(11, dtype=np.float32))
    assert [part.shape for part in parts] == [(2, 3), (3,), (2,)]
    assert parts[2].tolist() == [9, 10]
    assert LAYOUT.join(parts).tolist() == list(range(11))


def test_a_model_without_exchanged_weights_has_an_empty_vector() -> None:
    assert LAYOUT.join([]).shape == (0,)


def test_frozen_layers_are_not_exchanged() -> None:
    model = with_frozen_layer()
    layout = layout_of(model)
    # gamma, beta, kernel and bias; moving mean and variance
    assert layout.trainable == ((3,), (3,), (3, 1), (1,))
    assert layout.statistics == ((3,), (3,))
    frozen = frozen_weights(model)
    assert {array.shape for array in frozen.values()} == {(2, 3), (3,)}
    assert all(model.weights[index].shape == array.shape for index, array in frozen.items())


def test_weights_are_written_and_read_back() -> None:
    model = tiny_model()
    layout = layout_of(model)
    vector = np.arange(layout.size, dtype=np.float32)
    write_vector(model, layout, vector)
    assert np.array_equal(read_vector(model, layout), vector)


def test_the_vector_of_a_float64_model_is_float64() -> None:
    assert layout_of(tiny_model(dtype="float64")).dtype == "float64"
    assert layout_of(tiny_model()).dtype == "float32"
