"""Tests for glasses_spark.training.model_checks."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from glasses_spark.errors import TrainingError
from glasses_spark.runtime.elephas import ModelType
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.random_states import random_states
from glasses_spark.training.model_checks import (
    build_seeded,
    model_type_of,
    pack_exactly,
    require_mean_loss,
    require_supported_model,
)
from glasses_spark.training.output_kind import output_kinds
from tests.training.tiny import spec_of, tiny_model


def test_initializers_without_a_seed_depend_on_the_seed_of_the_fit_alone() -> None:
    keras = import_keras()
    layers = [keras.Input((4,)), keras.layers.Dense(3, activation="sigmoid")]
    model = keras.Sequential(layers)
    spec = replace(spec_of(tiny_model()), config=model.to_json())
    state = random.getstate()

    weights = [build_seeded(spec, seed).get_weights()[0] for seed in (1, 1, 2)]

    assert np.array_equal(weights[0], weights[1])
    assert not np.array_equal(weights[0], weights[2])
    assert random.getstate() == state


@pytest.mark.parametrize("reduction", ["sum", None])
def test_a_loss_that_is_no_mean_is_refused(reduction: Any) -> None:
    loss = {"class_name": "MeanSquaredError", "config": {"reduction": reduction}}
    if reduction is None:
        require_mean_loss(loss)  # Keras' default, a mean
    else:
        with pytest.raises(TrainingError, match="expected the reduction 'sum_over_batch_size'"):
            require_mean_loss(loss)


def test_a_model_without_an_input_shape_is_refused() -> None:
    keras = import_keras()
    with pytest.raises(TrainingError, match="expected a model with an input shape"):
        require_supported_model(keras.Sequential([keras.layers.Dense(1)]))


def test_the_loss_or_the_last_activation_decides_the_type_of_the_model() -> None:
    keras = import_keras()
    linear = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    for model, loss, expected in (
        (tiny_model(), "binary_crossentropy", ModelType.CLASSIFICATION),
        (linear, "mse", ModelType.REGRESSION),
        (linear, keras.losses.Huber(), ModelType.REGRESSION),
        (tiny_model(), "mse", ModelType.REGRESSION),
        (tiny_model(), "a_loss_of_the_user", ModelType.CLASSIFICATION),
    ):
        assert model_type_of(output_kinds(model, [loss])) == expected


def test_a_layer_that_keras_cannot_read_back_is_refused_by_name() -> None:
    keras = import_keras()
    layers = [keras.Input((4, 4, 3)), keras.layers.RandomShear(x_factor=0.3, name="shear")]
    with pytest.raises(
        TrainingError, match=r"layer shear \(RandomShear\): Keras saves .* range \[0, 1.0\]"
    ):
        pack_exactly(keras.Sequential(layers), {}, safe_mode=True)


def test_packing_draws_no_numbers_from_the_random_layers_of_a_model() -> None:
    keras = import_keras()
    # This one draws numbers for a prediction as well.
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.RandomHue(0.5, seed=1)])
    before = random_states(model)

    pack_exactly(model, {}, safe_mode=True)

    assert random_states(model) == before


def test_an_embedding_of_one_number_is_tried_with_that_number() -> None:
    keras = import_keras()
    model = keras.Sequential([keras.Input((3,), dtype="int32"), keras.layers.Embedding(1, 2)])
    assert pack_exactly(model, {}, safe_mode=True)
