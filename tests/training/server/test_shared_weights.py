"""Tests of the master: what an update does to the weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.server.shared_weights import Master

WEIGHTS = 3
RATE = 0.25


def model_with(optimizer: Any) -> Any:
    keras = import_keras()
    model = keras.Sequential(
        [keras.Input((WEIGHTS,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")]
    )
    model.compile(optimizer=optimizer, loss="mean_squared_error")
    return model


def master(optimizer: Any, *, workers: int = 2, **options: Any) -> Master:
    return Master(model_with(optimizer), workers=workers, uses_gradients=True, **options)


def gradient(value: float) -> Any:
    return np.full(WEIGHTS, value, np.float32)


def moved(made: Master, *updates: tuple[float, int]) -> float:
    """How far the first weight went by these updates and their staleness."""
    before = made.vector()[0]
    for value, staleness in updates:
        made.apply(gradient(value), staleness=staleness)
    return float(before - made.vector()[0])


@pytest.fixture
def sgd() -> Any:
    return import_keras().optimizers.SGD(RATE)


@pytest.mark.parametrize(("staleness", "share"), [(0, 1.0), (1, 0.5**0.5), (3, 0.5), (8, 1 / 3)])
def test_a_stale_gradient_is_applied_at_a_part_of_the_learning_rate(
    sgd: Any, staleness: int, share: float
) -> None:
    made = master(sgd, staleness_aware=True)
    assert moved(made, (2.0, staleness)) == pytest.approx(RATE * 2.0 * share)


def test_a_stale_delta_is_divided_by_its_staleness_and_one(sgd: Any) -> None:
    made = Master(model_with(sgd), workers=2, uses_gradients=False, staleness_aware=True)
    assert moved(made, (1.0, 3)) == pytest.approx(0.25)
    assert moved(made, (1.0, 0)) == pytest.approx(1.0)


@pytest.mark.parametrize("uses_gradients", [True, False])
def test_staleness_changes_nothing_where_it_is_not_asked_for(
    sgd: Any, uses_gradients: bool
) -> None:
    made = Master(model_with(sgd), workers=2, uses_gradients=uses_gradients)
    assert moved(made, (1.0, 3)) == pytest.approx(RATE if uses_gradients else 1.0)


def test_a_schedule_of_the_learning_rate_goes_on_whatever_the_shares() -> None:
    keras = import_keras()
    schedule = keras.optimizers.schedules.ExponentialDecay(RATE, decay_steps=1, decay_rate=0.5)
    made = master(keras.optimizers.SGD(schedule), staleness_aware=True)
    assert moved(made, (1.0, 0)) == pytest.approx(RATE)
    assert moved(made, (1.0, 3)) == pytest.approx(RATE / 2 / 2)
    assert moved(made, (1.0, 0)) == pytest.approx(RATE / 4)


def test_a_learning_rate_that_a_callback_sets_counts_at_once(sgd: Any) -> None:
    made = master(sgd, staleness_aware=True)
    assert moved(made, (1.0, 0)) == pytest.approx(RATE)
    made.set_learning_rate(RATE / 2)
    assert moved(made, (1.0, 0)) == pytest.approx(RATE / 2)


def test_a_learning_rate_may_be_a_function() -> None:
    model = model_with("sgd")
    model.optimizer.learning_rate = constant_rate
    with import_keras().saving.custom_object_scope({"constant_rate": constant_rate}):
        made = Master(model, workers=2, uses_gradients=True, staleness_aware=True)
    assert moved(made, (1.0, 3)) == pytest.approx(RATE / 2)


def constant_rate() -> float:
    return RATE


@pytest.mark.parametrize("name", ["Adam", "AdamW", "Nadam", "Adamax", "Lamb"])
def test_workers_that_do_not_wait_leave_the_optimizer_without_first_moment(name: str) -> None:
    keras = import_keras()

    def way(*, beta_1: float, **options: Any) -> float:
        optimizer = getattr(keras.optimizers, name)(RATE, beta_1=beta_1)
        # The last gradient alone turns back; the mean of the three does not.
        return moved(master(optimizer, **options), (1.0, 0), (1.0, 0), (-0.1, 0))

    aware = way(beta_1=0.9, staleness_aware=True)
    assert aware == pytest.approx(way(beta_1=0.0), rel=1e-6)
    assert aware != pytest.approx(way(beta_1=0.9), rel=1e-4)


@pytest.mark.parametrize("options", [{"workers": 1, "staleness_aware": True}, {"workers": 2}])
def test_one_worker_and_whole_updates_keep_the_optimizer_as_it_is(options: Any) -> None:
    keras = import_keras()
    made = master(keras.optimizers.Adam(RATE), **options)
    model = model_with(keras.optimizers.Adam(RATE))
    for value in (1.0, 1.0, -1.0):
        made.apply(gradient(value))
        model.optimizer.apply([gradient(value).reshape(WEIGHTS, 1)], model.trainable_variables)
    np.testing.assert_allclose(made.vector(), model.get_weights()[0][:, 0], rtol=1e-6)


def test_the_model_keeps_the_optimizer_of_its_user() -> None:
    keras = import_keras()
    model = model_with(keras.optimizers.Adam(RATE))
    made = Master(model, workers=2, uses_gradients=True, staleness_aware=True)
    made.apply(gradient(1.0), staleness=1)
    made.write_to_model(made.vector())
    assert model.optimizer.beta_1 == 0.9
    assert float(model.optimizer.learning_rate) == RATE
    assert int(model.optimizer.iterations) == 1
