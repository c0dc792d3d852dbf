"""Tests for glasses_spark.training.worker.task: several workers in one task, without Spark."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from glasses_spark.training.weights import Vector, layout_of, read_vector
from tests.training.tiny import separable, tiny_model
from tests.training.worker.threaded_fit import OPTIMIZERS, fit

pytestmark = pytest.mark.slow  # each task traces a model

ROWS = 45


def random_model() -> Any:
    """A model with moving statistics, and with random numbers with and without a seed."""
    import keras

    keras.utils.set_random_seed(3)
    hidden = [
        keras.layers.Dropout(0.3),
        keras.layers.BatchNormalization(momentum=0.8),
        keras.layers.GaussianNoise(0.1, seed=8),
    ]
    return tiny_model(hidden=hidden, metrics=["accuracy"])


def trained(tasks: int, **settings: Any) -> tuple[Vector, list[dict[str, float]]]:
    """Return the weights after a fit of 4 workers, and the metrics of each epoch."""
    x, y = separable(ROWS)
    x, model = x.astype(np.float32), random_model()
    validation = (x[:7], y[:7])
    totals, states = fit(
        model, x, y, workers=4, tasks=tasks, validation=validation, archive=True, **settings
    )
    assert all(epoch.rows == ROWS for epoch in totals)
    metrics = [
        states.results(epoch.metric_state)
        | {f"val_{k}": v for k, v in states.results(epoch.validation_state).items()}
        for epoch in totals
    ]
    return read_vector(model, layout_of(model)), metrics


@pytest.mark.parametrize("frequency", ["batch", "epoch"])
def test_synchronous_weights_do_not_depend_on_the_number_of_tasks(frequency: str) -> None:
    weights, metrics = trained(4, frequency=frequency)
    for tasks in (1, 2, 3):
        other, other_metrics = trained(tasks, frequency=frequency)
        assert np.array_equal(weights, other)
        assert metrics == other_metrics


@pytest.mark.parametrize("frequency", ["batch", "epoch"])
@pytest.mark.parametrize("mode", ["asynchronous", "hogwild"])
def test_each_worker_of_a_task_uses_its_rows_once_per_epoch(mode: str, frequency: str) -> None:
    x, y = separable(ROWS)
    totals, _ = fit(
        tiny_model(),
        x.astype(np.float32),
        y,
        workers=4,
        tasks=2,
        mode=mode,
        frequency=frequency,
    )
    assert [[share.rows for share in epoch.workers] for epoch in totals] == [[11, 11, 11, 12]] * 3


def test_asynchronous_workers_of_one_task_miss_no_update() -> None:
    x, y = separable(ROWS)
    totals, _ = fit(tiny_model(), x.astype(np.float32), y, workers=4, tasks=1, mode="asynchronous")
    assert all(share.staleness == 0 for epoch in totals for share in epoch.workers)


def test_workers_of_one_task_have_an_optimizer_each() -> None:
    import keras

    x, y = separable(ROWS)

    def iterations(tasks: int) -> int:
        model = tiny_model(optimizer=keras.optimizers.Adam(0.01))
        fit(model, x.astype(np.float32), y, workers=4, tasks=tasks, frequency="epoch", epochs=2)
        return int(model.optimizer.iterations)

    assert iterations(1) == iterations(4) == 6  # two epochs of 11 rows in batches of 4


@pytest.mark.parametrize(
    "name",
    [
        "momentum",
        "adam",
        *(
            pytest.param(name, marks=pytest.mark.exhaustive)
            for name in ("sgd", "rmsprop", "clipnorm")
        ),
    ],
)
def test_asynchronous_workers_learn_as_fast_as_one(name: str) -> None:
    x, y = separable(64)
    x = x.astype(np.float32)

    def loss(workers: int) -> float:
        import keras

        model = tiny_model(optimizer=keras.optimizers.get(copy.deepcopy(OPTIMIZERS[name])))
        fit(
            model,
            x,
            y,
            workers=workers,
            mode="asynchronous",
            batch_size=8,
            epochs=8,
        )
        return float(model.evaluate(x, y, verbose=0, return_dict=True)["loss"])

    assert loss(4) < 1.3 * loss(1)
