"""Tests for glasses_spark.training.worker.kept_steps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.metric_states import DEFAULT_RULES
from glasses_spark.training.model_spec import ModelSpec
from glasses_spark.training.worker.kept_steps import keep_steps, steps_key
from glasses_spark.training.worker.steps import Steps
from tests.training.tiny import FEATURES, row_format, separable, tiny_estimator, tiny_model

keras = import_keras()


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    yield
    forget()


def forget() -> None:
    """Take steps that are not kept, which releases those that are."""
    (spec,) = specs_of({})
    keep_steps("", 0.0, lambda: Steps(spec, row_format()))


def specs_of(*points: dict[str, Any], **settings: Any) -> list[ModelSpec]:
    """Return the specifications of the fits of a grid."""
    estimator = tiny_estimator(**settings)
    grid = [{estimator.getParam(name): v for name, v in point.items()} for point in points]
    return [estimator.copy(point)._build()[1] for point in grid]


def take(spec: ModelSpec) -> Steps:
    key = steps_key(spec, row_format(), DEFAULT_RULES)

    def build() -> Steps:
        keras.utils.set_random_seed(1)
        return Steps(spec, row_format())

    return keep_steps(key, spec.learning_rate, build)


def epoch_of(steps: Steps) -> Any:
    """Train an epoch with the optimizer of the worker; return the weights."""
    x, y = separable(20)
    steps.write(np.linspace(-1, 1, steps.layout.size).astype(steps.layout.dtype))
    steps.prepare_to_train(None)
    steps.states.begin()
    for start in range(0, 20, 5):
        rows = slice(start, start + 5)
        steps.train([x[rows].astype("f4")], [y[rows].astype("f4")], np.ones(5, "f4"))
    return steps.read()


@pytest.mark.parametrize("rates", [(0.1, 0.01), (0.1, 0.0), (0.0, 0.1)])
def test_a_fit_with_another_rate_uses_the_same_steps_and_trains_as_with_new_ones(
    rates: tuple[float, float],
) -> None:
    model = tiny_model(hidden=[keras.layers.Dropout(0.5)])
    first, second = specs_of(*({"learning_rate": rate} for rate in rates), model=model)
    kept = take(first)
    epoch_of(kept)
    again = take(second)
    assert (again is kept) == (0.0 not in rates)
    found = epoch_of(again)
    forget()
    assert np.array_equal(found, epoch_of(take(second)))


@pytest.mark.parametrize(
    "change",
    [
        {"optimizer_config": "sgd"},
        {"metrics": ["mse"]},
        {"loss": "mse"},
        {"keras_model_config": tiny_model(hidden=[keras.layers.Dense(5)]).to_json()},
        {"cpu_kernels": "auto"},
    ],
)
def test_another_model_has_steps_of_its_own(change: dict[str, Any]) -> None:
    same, again, other = specs_of({}, {"epochs": 7, "batch_size": 3}, change)
    kept = take(same)
    assert take(again) is kept
    assert take(other) is not kept
    assert take(same) is not kept  # memory of one model


def test_without_a_key_nothing_is_kept() -> None:
    (spec,) = specs_of({})
    take(spec)
    one, other = (keep_steps("", 0.0, lambda: Steps(spec, row_format())) for _ in range(2))
    assert one is not other


def test_steps_whose_operations_have_a_state_are_built_anew() -> None:
    layer: Any = keras.layers.Layer

    @keras.saving.register_keras_serializable("kept")
    class Noise(layer):
        def call(self, inputs: Any, training: bool = False) -> Any:
            return inputs + tf.random.uniform(tf.shape(inputs)) if training else inputs

    inputs = keras.Input((FEATURES,))
    model = keras.Model(inputs, keras.layers.Dense(1, activation="sigmoid")(Noise()(inputs)))
    model.compile("adam", "binary_crossentropy")
    (spec,) = specs_of({}, model=model, custom_objects={"kept>Noise": Noise})
    kept = take(spec)
    epoch_of(kept)
    assert take(spec) is not kept
