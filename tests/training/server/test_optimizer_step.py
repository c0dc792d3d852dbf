"""Tests for glasses_spark.training.server.optimizer_step."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

from glasses_spark.training.server.optimizer_step import OptimizerStep
from glasses_spark.training.weights import layout_of
from tests.training.tiny import tiny_model

# Adafactor works on whole tensors, Adam on the model as one long vector.
OPTIMIZERS = ["Adam", "Adafactor"]


def make_step(model: Any) -> OptimizerStep:
    return OptimizerStep(model, layout_of(model))


def gradients(model: Any) -> tuple[Any, list[Any]]:
    """A gradient of the model's weights: as one vector, and with the shapes of the weights."""
    layout = layout_of(model)
    vector = np.linspace(-1.0, 1.0, layout.size, dtype=np.float32)
    return vector, layout.split(vector)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_equals_that_of_keras(name: str) -> None:
    model, plain = (tiny_model(optimizer=name.lower()) for _ in range(2))
    vector, arrays = gradients(model)
    step = make_step(model)
    for _ in range(3):
        weights = step(vector, 1.0)
        plain.optimizer.apply(arrays, plain.trainable_variables)
    expected = layout_of(plain).join(plain.get_weights())
    np.testing.assert_allclose(weights, expected, rtol=1e-5)
    np.testing.assert_array_equal(step.read(), weights)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_written_state_lets_the_model_train_on(name: str) -> None:
    model, plain = (tiny_model(optimizer=name.lower()) for _ in range(2))
    vector, arrays = gradients(model)
    step = make_step(model)
    step(vector, 1.0)
    plain.optimizer.apply(arrays, plain.trainable_variables)

    step.write_state(model)

    assert int(model.optimizer.iterations) == 1
    for ours, keras_own in zip(model.optimizer.variables, plain.optimizer.variables, strict=True):
        np.testing.assert_allclose(ours.numpy(), keras_own.numpy(), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_replaced_weights_are_the_start_of_the_next_step(name: str) -> None:
    model = tiny_model(optimizer=name.lower())
    vector, _ = gradients(model)
    step = make_step(model)
    step.replace(np.full(len(vector), 5.0, np.float32))
    np.testing.assert_array_equal(step.read(), np.full(len(vector), 5.0))
    after = step(vector, 1.0)
    assert np.abs(after - 5).max() < 1


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_nothing_keeps_the_graphs_of_earlier_steps(name: str) -> None:
    def graphs() -> int:
        gc.collect()
        gc.collect()  # what the first collection has taken out of TensorFlow's cycles
        return sum(type(each).__name__ == "FuncGraph" for each in gc.get_objects())

    model = tiny_model(optimizer=name.lower())
    vector, _ = gradients(model)
    before = graphs()
    for _ in range(4):
        make_step(model)(vector, 1.0)
    assert graphs() <= before
