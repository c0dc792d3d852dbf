"""Tests for glasses_spark.training.model_spec."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from glasses_spark.errors import TrainingError
from glasses_spark.runtime.keras import import_keras
from tests.training.tiny import spec_of, tiny_model


def test_a_built_model_has_the_architecture_and_the_optimizer() -> None:
    keras = import_keras()
    built = spec_of(tiny_model(optimizer=keras.optimizers.SGD(0.25))).build()
    assert built.count_params() == 6 * 5 + 5 + 5 + 1
    assert type(built.optimizer) is keras.optimizers.SGD
    assert float(built.optimizer.learning_rate) == 0.25
    assert built.loss == "binary_crossentropy"


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_learning_rate_replaces_that_of_the_optimizer(optimizer: str) -> None:
    spec = replace(spec_of(tiny_model(optimizer=optimizer)), learning_rate=0.125)
    assert float(spec.build().optimizer.learning_rate) == 0.125


def test_without_a_learning_rate_the_optimizer_keeps_its_own() -> None:
    assert float(spec_of(tiny_model(optimizer="sgd")).build().optimizer.learning_rate) == (
        pytest.approx(0.01)
    )


def test_a_learning_rate_for_a_schedule_is_refused() -> None:
    keras = import_keras()
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    spec = spec_of(tiny_model(optimizer=keras.optimizers.SGD(schedule)))
    assert spec.build()  # fine without
    with pytest.raises(TrainingError, match=r"learning_rate=0\.5 needs .*, found one with a sched"):
        replace(spec, learning_rate=0.5).build()


def test_two_models_share_no_metric() -> None:
    keras = import_keras()
    spec = spec_of(tiny_model(metrics=[keras.metrics.AUC(name="auc")]))
    first, second = spec.build(), spec.build()
    x, y = np.ones((2, 6), np.float32), np.array([[0.0], [1.0]])
    first.evaluate(x, y, verbose=0)
    variables = [metric.variables for model in (first, second) for metric in model.metrics]
    assert len({id(v) for group in variables for v in group}) == sum(map(len, variables))


def test_frozen_weights_are_set() -> None:
    spec = replace(spec_of(tiny_model()), frozen={1: np.arange(5, dtype=np.float32)})
    assert spec.build().weights[1].numpy().tolist() == [0, 1, 2, 3, 4]
