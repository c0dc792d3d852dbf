"""Tests for glasses_spark.training.server.shared_weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from glasses_spark.errors import TrainingError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.server.asynchronous_rules import (
    EveryUpdate,
    ScaledDeltas,
    ScaledRate,
    SharedBatch,
)
from glasses_spark.training.server.shared_weights import SharedWeights

WEIGHTS = 3
RATE = 0.25


def model_with(optimizer: Any) -> Any:
    keras = import_keras()
    model = keras.Sequential(
        [keras.Input((WEIGHTS,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")]
    )
    model.compile(optimizer=optimizer, loss="mean_squared_error")
    return model


def shared_weights(optimizer: Any, *, workers: int = 2, **options: Any) -> SharedWeights:
    return SharedWeights(model_with(optimizer), workers=workers, uses_gradients=True, **options)


def gradient(value: float) -> Any:
    return np.full(WEIGHTS, value, np.float32)


def moved(weights: SharedWeights, *updates: tuple[float, int]) -> float:
    """Apply updates of given value and staleness; return the decrease of the first weight."""
    before = weights.vector()[0]
    for value, staleness in updates:
        weights.apply(gradient(value), rows=4, staleness=staleness)
    return float(before - weights.vector()[0])


@pytest.fixture
def sgd() -> Any:
    return import_keras().optimizers.SGD(RATE)


@pytest.mark.parametrize(("staleness", "share"), [(0, 1.0), (1, 0.5**0.5), (3, 0.5), (8, 1 / 3)])
def test_a_stale_gradient_is_applied_at_a_lower_learning_rate(
    sgd: Any, staleness: int, share: float
) -> None:
    weights = shared_weights(sgd, rule=ScaledRate())
    assert moved(weights, (2.0, staleness)) == pytest.approx(RATE * 2.0 * share)


def test_a_stale_delta_is_divided_by_one_plus_its_staleness(sgd: Any) -> None:
    weights = SharedWeights(model_with(sgd), workers=2, uses_gradients=False, rule=ScaledDeltas())
    assert moved(weights, (1.0, 3)) == pytest.approx(0.25)
    assert moved(weights, (1.0, 0)) == pytest.approx(1.0)


@pytest.mark.parametrize("uses_gradients", [True, False])
def test_staleness_has_no_effect_if_every_update_is_a_step(sgd: Any, uses_gradients: bool) -> None:
    weights = SharedWeights(model_with(sgd), workers=2, uses_gradients=uses_gradients)
    assert moved(weights, (1.0, 3)) == pytest.approx(RATE if uses_gradients else 1.0)


def test_a_learning_rate_schedule_continues_with_stale_updates() -> None:
    keras = import_keras()
    schedule = keras.optimizers.schedules.ExponentialDecay(RATE, decay_steps=1, decay_rate=0.5)
    weights = shared_weights(keras.optimizers.SGD(schedule), rule=ScaledRate())
    assert moved(weights, (1.0, 0)) == pytest.approx(RATE)
    assert moved(weights, (1.0, 3)) == pytest.approx(RATE / 2 / 2)
    assert moved(weights, (1.0, 0)) == pytest.approx(RATE / 4)


def test_a_learning_rate_set_by_a_callback_holds_from_the_next_update(sgd: Any) -> None:
    weights = shared_weights(sgd, rule=ScaledRate())
    assert moved(weights, (1.0, 0)) == pytest.approx(RATE)
    weights.set_learning_rate(RATE / 2)
    assert moved(weights, (1.0, 0)) == pytest.approx(RATE / 2)


def test_a_learning_rate_may_be_a_function() -> None:
    model = model_with("sgd")
    model.optimizer.learning_rate = constant_rate
    with import_keras().saving.custom_object_scope({"constant_rate": constant_rate}):
        weights = SharedWeights(model, workers=2, uses_gradients=True, rule=ScaledRate())
    assert moved(weights, (1.0, 3)) == pytest.approx(RATE / 2)


def constant_rate() -> float:
    return RATE


@pytest.mark.parametrize("name", ["Adam", "AdamW", "Nadam", "Adamax", "Lamb"])
def test_scaled_rates_are_those_of_the_optimizer_without_beta_1(name: str) -> None:
    keras = import_keras()

    def distance(*, beta_1: float, **options: Any) -> float:
        optimizer = getattr(keras.optimizers, name)(RATE, beta_1=beta_1)
        # The last gradient has the other sign, the mean of the three has not.
        return moved(shared_weights(optimizer, **options), (1.0, 0), (1.0, 0), (-0.1, 0))

    aware = distance(beta_1=0.9, rule=ScaledRate())
    assert aware == pytest.approx(distance(beta_1=0.0), rel=1e-6)
    assert aware != pytest.approx(distance(beta_1=0.9), rel=1e-4)


def test_beta_1_stays_if_every_update_is_a_step() -> None:
    keras = import_keras()
    weights = shared_weights(keras.optimizers.Adam(RATE))
    model = model_with(keras.optimizers.Adam(RATE))
    for value in (1.0, 1.0, -1.0):
        weights.apply(gradient(value), rows=4)
        model.optimizer.apply([gradient(value).reshape(WEIGHTS, 1)], model.trainable_variables)
    np.testing.assert_allclose(weights.vector(), model.get_weights()[0][:, 0], rtol=1e-6)


def test_the_settings_of_the_users_optimizer_do_not_change() -> None:
    keras = import_keras()
    model = model_with(keras.optimizers.Adam(RATE))
    weights = SharedWeights(model, workers=2, uses_gradients=True, rule=ScaledRate())
    weights.apply(gradient(1.0), rows=4, staleness=1)
    weights.write_to_model(weights.vector())
    assert model.optimizer.beta_1 == 0.9
    assert float(model.optimizer.learning_rate) == RATE
    assert int(model.optimizer.iterations) == 1


def test_deltas_of_synchronous_workers_are_averaged_by_their_rows(sgd: Any) -> None:
    weights = SharedWeights(model_with(sgd), workers=2, uses_gradients=False)
    weights.apply_mean([gradient(1.0), gradient(6.0)], [4, 1])
    assert weights.vector() == pytest.approx([-1.0] * WEIGHTS)  # 1 - (4 * 1 + 1 * 6) / 5
    assert weights.version == 1


def test_statistics_move_by_one_part_in_workers_towards_those_of_a_worker() -> None:
    keras = import_keras()
    model = keras.Sequential([keras.Input((2,)), keras.layers.BatchNormalization()])
    model.compile(optimizer="sgd", loss="mean_squared_error")
    weights = SharedWeights(model, workers=4, uses_gradients=False)
    # Gamma 1 and beta 0, then the moving mean 0 and the moving variance 1.
    assert weights.vector().tolist() == [1, 1, 0, 0, 0, 0, 1, 1]
    weights.apply(np.array([0, 0, 0, 0, 8, 8, 5, 5], np.float32), rows=4)
    assert weights.vector().tolist() == [1, 1, 0, 0, 2, 2, 2, 2]


def test_replaced_weights_are_the_start_of_the_next_update(sgd: Any) -> None:
    weights = shared_weights(sgd)
    weights.replace(gradient(5.0))
    weights.apply(gradient(1.0), rows=4)
    assert weights.vector() == pytest.approx([5 - RATE] * WEIGHTS)


def test_a_shared_batch_takes_the_steps_of_keras_on_the_mean_gradients() -> None:
    keras = import_keras()
    weights = shared_weights(
        keras.optimizers.Adam(RATE), rule=SharedBatch(WEIGHTS, "float32", batch_size=8, rows=4)
    )
    model = model_with(keras.optimizers.Adam(RATE))
    for step, (first, second) in enumerate([(1.0, 3.0), (2.0, -1.0)]):
        weights.apply(gradient(first), rows=4)
        assert weights.version == step
        weights.apply(gradient(second), rows=4, staleness=1)
        assert weights.version == step + 1
        mean = gradient((first + second) / 2).reshape(WEIGHTS, 1)
        model.optimizer.apply([mean], model.trainable_variables)
        np.testing.assert_allclose(weights.vector(), model.get_weights()[0][:, 0], rtol=1e-6)


def test_workers_compute_ahead_by_a_part_of_the_last_step(sgd: Any) -> None:
    weights = shared_weights(sgd, rule=SharedBatch(WEIGHTS, "float32", batch_size=8, rows=4))
    assert weights.versioned(ahead=True)[0].tolist() == weights.vector().tolist()
    moved(weights, (1.0, 0), (1.0, 0))
    assert weights.vector() == pytest.approx([1 - RATE] * WEIGHTS)
    assert weights.versioned(ahead=True)[0] == pytest.approx([1 - 1.9 * RATE] * WEIGHTS)
    weights.replace(gradient(5.0))
    assert weights.versioned(ahead=True)[0].tolist() == [5.0] * WEIGHTS
    everything = shared_weights(sgd)
    moved(everything, (1.0, 0))
    assert everything.versioned(ahead=True)[0].tolist() == everything.vector().tolist()


def test_the_last_updates_of_a_fit_are_a_step_of_their_own(sgd: Any) -> None:
    weights = shared_weights(sgd, rule=SharedBatch(WEIGHTS, "float32", batch_size=8, rows=4))
    weights.apply(gradient(2.0), rows=4)
    weights.refresh()
    assert weights.vector() == pytest.approx([1 - 2 * RATE] * WEIGHTS)
    weights.refresh()
    assert weights.vector() == pytest.approx([1 - 2 * RATE] * WEIGHTS)


def test_a_restored_rule_goes_on_with_the_updates_that_wait(sgd: Any) -> None:
    def started() -> SharedWeights:
        rule = SharedBatch(WEIGHTS, "float32", batch_size=8, rows=4)
        return shared_weights(sgd, rule=rule)

    first, second = started(), started()
    for value in (1.0, 2.0, 3.0):
        first.apply(gradient(value), rows=4)
    second.restore(first.arrays(), {}, first.version)
    assert second.versioned(ahead=True)[0].tolist() == first.versioned(ahead=True)[0].tolist()
    for each in (first, second):
        each.apply(gradient(4.0), rows=4)
    assert second.vector().tolist() == first.vector().tolist()
    assert second.version == 2


def test_a_checkpoint_of_another_rule_is_refused(sgd: Any) -> None:
    arrays = shared_weights(sgd, rule=EveryUpdate()).arrays()
    weights = shared_weights(sgd, rule=SharedBatch(WEIGHTS, "float32", batch_size=8, rows=4))
    with pytest.raises(TrainingError, match=r"lacks the updates that wait .* asynchronous_rule"):
        weights.restore(arrays, {}, 0)
