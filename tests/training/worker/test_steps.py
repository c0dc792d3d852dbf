"""Tests for glasses_spark.training.worker.steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.weights import layout_of, read_vector
from glasses_spark.training.worker.steps import Steps
from tests.training.tiny import row_format, separable, spec_of, tiny_model

WEIGHT = np.ones(8, np.float32)


@pytest.fixture
def model() -> Any:
    return tiny_model(optimizer=import_keras().optimizers.SGD(0.5))


@pytest.fixture
def steps(model: Any) -> Steps:
    """Steps with the weights of the model."""
    steps = Steps(spec_of(model), row_format())
    steps.write(read_vector(model, layout_of(model)))
    return steps


def batch() -> tuple[Any, Any]:
    x, y = separable(8)
    return x.astype(np.float32), y.astype(np.float32)


def test_written_weights_are_read_back(steps: Steps) -> None:
    weights = np.arange(steps.layout.size, dtype=np.float32)
    steps.write(weights)
    assert np.array_equal(steps.read(), weights)


def test_a_gradient_and_a_rate_make_the_step_of_keras(steps: Steps, model: Any) -> None:
    x, y = batch()
    before = steps.read()
    gradient, _ = steps.gradient(before, [x], [y], WEIGHT)
    model.train_on_batch(x, y)
    after = read_vector(model, layout_of(model))
    np.testing.assert_allclose(before - 0.5 * gradient, after, atol=1e-6)


def test_a_training_step_equals_that_of_keras(steps: Steps, model: Any) -> None:
    x, y = batch()
    steps.prepare_to_train(None)
    steps.train([x], [y], WEIGHT)
    model.train_on_batch(x, y)
    np.testing.assert_allclose(steps.read(), read_vector(model, layout_of(model)), atol=1e-6)


def test_evaluation_gives_the_metrics_of_keras_and_keeps_the_weights(
    steps: Steps, model: Any
) -> None:
    x, y = batch()
    before = steps.read()
    metrics = steps.states.results(steps.evaluate([x], [y], WEIGHT))
    expected = model.evaluate(x, y, verbose=0, return_dict=True)
    assert metrics == pytest.approx(expected, abs=1e-6)
    assert np.array_equal(steps.read(), before)


def test_rows_of_weight_0_do_not_count(steps: Steps) -> None:
    x, y = batch()
    weight = np.array([1, 1, 1, 1, 0, 0, 0, 0], np.float32)
    changed = x.copy()
    changed[4:] = 100
    first, _ = steps.gradient(steps.read(), [x], [y], weight)
    second, _ = steps.gradient(steps.read(), [changed], [y], weight)
    np.testing.assert_allclose(first, second, atol=1e-7)


def test_pixels_are_scaled_to_the_range_from_0_to_1(model: Any, steps: Steps) -> None:
    _, y = batch()
    pixels = np.tile(np.array([0, 51, 102, 153, 204, 255], np.uint8), (8, 1))
    scaled = np.tile(np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], np.float32), (8, 1))
    pixel_steps = Steps(spec_of(model), row_format(feature_dtype="uint8"))
    from_pixels, _ = pixel_steps.gradient(steps.read(), [pixels], [y], WEIGHT)
    from_numbers, _ = steps.gradient(steps.read(), [scaled], [y], WEIGHT)
    np.testing.assert_allclose(from_pixels, from_numbers, atol=1e-6)
