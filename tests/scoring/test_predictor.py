"""Tests for glasses_spark.scoring.predictor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from glasses_spark.errors import ScoringError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.scoring.predictor import Predictor, TrainedModel, cached_predictor
from tests.training.tiny import FEATURES, separable, tiny_model


def trained(model: Any, *, digest: str = "digest", temperature: float = 1.0) -> TrainedModel:
    return TrainedModel(digest, model.to_json(), model.get_weights(), temperature=temperature)


def test_predictions_equal_those_of_keras() -> None:
    model = tiny_model()
    x, _ = separable(10)
    expected = model.predict(x, verbose=0)
    (predictions,), _ = Predictor(model, with_logits=False).predict(x)
    assert predictions.dtype == np.float64
    np.testing.assert_allclose(predictions, expected, atol=1e-6)


def test_logits_belong_to_the_probabilities() -> None:
    x, _ = separable(10)
    (probabilities,), logits = Predictor(tiny_model(), with_logits=True).predict(x)
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-logits)), atol=1e-6)


def test_pixels_are_scaled_to_the_range_from_0_to_1() -> None:
    predictor = Predictor(tiny_model(), with_logits=False)
    pixels = np.array([[0, 51, 102, 153, 204, 255]], np.uint8)
    numbers = np.array([[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]])
    np.testing.assert_allclose(
        predictor.predict(pixels)[0][0], predictor.predict(numbers)[0][0], atol=1e-6
    )


def test_a_built_model_has_the_weights_and_divides_its_logits_by_the_temperature() -> None:
    model = tiny_model()
    x, _ = separable(10)
    _, logits = Predictor(trained(model).build(), with_logits=True).predict(x)
    _, divided = Predictor(trained(model, temperature=2.0).build(), with_logits=True).predict(x)
    np.testing.assert_allclose(divided, logits / 2, atol=1e-6)


def test_a_temperature_needs_a_dense_layer_of_one_sigmoid_unit() -> None:
    keras = import_keras()
    dense, sigmoid = keras.layers.Dense, keras.layers.Activation("sigmoid")
    for layers, ending in (
        ([dense(1)], "linear"),
        ([dense(2, "sigmoid")], "sigmoid with the shape .* 2"),
        ([dense(1), sigmoid], "sigmoid"),
    ):
        model = keras.Sequential([keras.Input((FEATURES,)), *layers])
        with pytest.raises(ScoringError, match=f"dense layer of one sigmoid unit, found {ending}"):
            trained(model, temperature=2.0).build()
        assert trained(model).build() is not None


def test_logits_need_a_model_that_ends_in_one_sigmoid_unit() -> None:
    keras = import_keras()
    model = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(1)])
    with pytest.raises(ScoringError, match="ends in one sigmoid unit, found linear"):
        Predictor(model, with_logits=True)


def test_a_process_builds_a_model_once() -> None:
    model = tiny_model()
    first = cached_predictor(trained(model, digest="first"), with_logits=False)
    assert cached_predictor(trained(model, digest="first"), with_logits=False) is first
    assert cached_predictor(trained(model, digest="first"), with_logits=True) is not first
