"""Tests for glasses_spark.training.worker.worker: real workers and a real server, without Spark."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from glasses_spark.errors import TrainingError, WorkerError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.history import EpochTotals
from glasses_spark.training.metric_states import MetricStates
from glasses_spark.training.rows import LabelCode
from glasses_spark.training.schedule import Schedule, share
from glasses_spark.training.server.certificates import make_credentials
from glasses_spark.training.server.coordinator import Coordinator
from glasses_spark.training.server.parameter_client import ServerAddress
from glasses_spark.training.server.parameter_server import ParameterServer
from glasses_spark.training.server.shared_weights import Master
from glasses_spark.training.server.state import Verdict
from glasses_spark.training.weights import layout_of, read_vector
from glasses_spark.training.worker.worker import Assignment, train_worker
from tests.training.tiny import (
    FEATURES,
    arrow_rows,
    global_batches,
    row_format,
    runs,
    separable,
    spec_of,
    tiny_model,
)

SEED = 5


@pytest.fixture
def _float64() -> Iterator[None]:
    """Keras computes losses in its own type, whatever the model's is."""
    keras = import_keras()
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx("float32")


def fit(
    model: Any,
    x: Any,
    y: Any,
    *,
    workers: int,
    mode: str = "synchronous",
    frequency: str = "batch",
    epochs: int = 3,
    batch_size: int = 4,
    shares: tuple[int, ...] | None = None,
) -> tuple[list[EpochTotals], MetricStates]:
    """Fit with workers in threads; afterwards ``model`` has the trained weights."""
    schedule = Schedule(
        mode, frequency, epochs, batch_size, shares or share(len(x), workers), (0,) * workers
    )
    form = row_format(features=x.shape[1], feature_dtype=str(x.dtype))
    states = MetricStates(model, form)
    master = Master(model, workers=workers, uses_gradients=frequency == "batch")
    coordinator = Coordinator(schedule, master, state_size=states.size, stall_timeout=60)
    server_end, worker_end = make_credentials()
    spec = spec_of(model)
    starts = np.cumsum([0, *schedule.rows])
    with (
        ParameterServer(coordinator, server_end) as server,
        ThreadPoolExecutor(workers) as pool,
    ):
        assignment = Assignment(
            spec=spec,
            layout=master.layout,
            schedule=schedule,
            row_format=form,
            label_code=LabelCode(None, 1),
            address=ServerAddress("127.0.0.1", server.port, worker_end, 30.0, 5.0),
            seed=SEED,
            threads=1,
        )
        tasks = [
            pool.submit(
                train_worker, assignment, worker, 0, [arrow_rows(x[a:b], y[a:b])] if b > a else []
            )
            for worker, (a, b) in enumerate(pairwise(starts))
        ]
        totals = []
        try:
            while found := coordinator.next_epoch(
                running=lambda: not all(task.done() for task in tasks), poll=0.05
            ):
                totals.append(found)
                last = found.epoch == epochs - 1
                coordinator.proceed(Verdict(stop=last, learning_rate=None))
        except Exception as error:
            coordinator.fail(error)
            raise
        for task in tasks:
            task.result()
    master.settle()
    master.write_to_model(master.vector())
    return totals, states


OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"class_name": "SGD", "config": {"learning_rate": 0.1}},
    "momentum": {
        "class_name": "SGD",
        "config": {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True},
    },
    "adam": {"class_name": "Adam", "config": {"learning_rate": 0.02}},
    "rmsprop": {"class_name": "RMSprop", "config": {"learning_rate": 0.01}},
    # These look at a whole tensor at a time, so they cannot see the model as one vector.
    "clipnorm": {"class_name": "Adam", "config": {"learning_rate": 0.02, "clipnorm": 0.05}},
    "adafactor": {"class_name": "Adafactor", "config": {"learning_rate": 0.02}},
}


@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize(
    ("optimizer", "workers"),
    # test_synchronous_truth.py shows it for the CNN, and for more workers.
    [
        ("adam", 2),
        pytest.param("clipnorm", 4, marks=pytest.mark.slow),
        pytest.param("adafactor", 4, marks=pytest.mark.slow),
    ],
)
def test_synchronous_workers_give_the_weights_of_one_keras_process(
    optimizer: str, workers: int
) -> None:
    import keras

    x, y = separable(30)  # 30 rows over 4 workers: shares of 7 and 8, batches of 4, 3 and 2
    made = [
        tiny_model(dtype="float64", optimizer=keras.optimizers.deserialize(OPTIMIZERS[optimizer]))
        for _ in range(2)
    ]
    ours, plain = made

    fit(ours, x, y, workers=workers)
    for epoch in range(3):
        for batch in global_batches(share(30, workers), batch_size=4, seed=SEED, epoch=epoch):
            plain.train_on_batch(x[batch], y[batch])

    layout = layout_of(plain)
    difference = np.abs(read_vector(ours, layout) - read_vector(plain, layout)).max()
    assert difference < 1e-9


@pytest.mark.parametrize("mode", ["synchronous", "asynchronous", "hogwild"])
@pytest.mark.parametrize("frequency", ["batch", pytest.param("epoch", marks=pytest.mark.slow)])
def test_every_mode_uses_every_row_once_an_epoch_and_learns(mode: str, frequency: str) -> None:
    x, y = separable(41)
    x = x.astype(np.float32)
    # Gentle enough for asynchronous deltas, which are not averaged.
    model = tiny_model(optimizer="adam")
    model.optimizer.learning_rate = 0.02

    totals, states = fit(model, x, y, workers=3, mode=mode, frequency=frequency, epochs=6)

    assert [epoch.rows for epoch in totals] == [41] * 6
    assert all([s.rows for s in epoch.workers] == [13, 14, 14] for epoch in totals)
    losses = [states.results(epoch.metric_state)["loss"] for epoch in totals]
    assert losses[-1] < losses[0]


def test_a_worker_with_fewer_rows_than_a_batch_trains_on_them() -> None:
    x, y = separable(5)
    model = tiny_model()
    before = read_vector(model, layout_of(model))
    totals, _ = fit(model, x.astype(np.float32), y, workers=2, batch_size=100, epochs=1)
    assert [share.rows for share in totals[0].workers] == [2, 3]
    assert np.abs(read_vector(model, layout_of(model)) - before).max() > 0


@pytest.mark.slow
def test_workers_without_a_row_change_nothing() -> None:
    x, y = separable(8)
    models = [tiny_model(dtype="float64", optimizer="sgd") for _ in range(2)]
    fit(models[0], x, y, workers=1)
    fit(models[1], x, y, workers=3, shares=(8, 0, 0))
    layout = layout_of(models[0])
    alone, among_idle = (read_vector(model, layout) for model in models)
    assert np.array_equal(alone, among_idle)


@pytest.mark.slow
def test_the_same_synchronous_fit_gives_the_same_weights_to_the_last_bit() -> None:
    x, y = separable(33)
    x = x.astype(np.float32)
    found = []
    for _ in range(2):
        model = tiny_model()
        fit(model, x, y, workers=3)
        found.append(read_vector(model, layout_of(model)))
    assert np.array_equal(found[0], found[1])


@pytest.mark.slow
def test_constraints_on_weights_are_kept() -> None:
    import keras

    x, y = separable(24)
    normed = keras.layers.Dense(4, kernel_constraint=keras.constraints.UnitNorm())
    model = tiny_model(hidden=[normed])
    fit(model, x.astype(np.float32), y, workers=2)
    assert np.linalg.norm(normed.kernel.numpy(), axis=0) == pytest.approx(np.ones(4), abs=1e-5)


@pytest.mark.slow
def test_a_schedule_of_the_learning_rate_goes_on_across_epochs() -> None:
    import keras

    x, y = separable(16)
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=4, decay_rate=0.5)
    model = tiny_model(dtype="float64", optimizer=keras.optimizers.SGD(rate))
    fit(model, x, y, workers=2, batch_size=4, epochs=3)  # 2 steps an epoch
    assert int(model.optimizer.iterations) == 6
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1 * 0.5 ** (6 / 4))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["synchronous", "asynchronous"])
def test_moving_statistics_are_averaged_and_stay_within_what_was_seen(mode: str) -> None:
    import keras

    x, y = separable(40)
    x = (x * 3 + 10).astype(np.float32)
    normalization = keras.layers.BatchNormalization(momentum=0.5)
    model = tiny_model(hidden=[normalization])
    fit(model, x, y, workers=4, mode=mode, epochs=10)
    variance = normalization.moving_variance.numpy()
    assert (variance > 0).all()
    assert (variance < 1.5).all()  # of a tanh, which lies in [-1, 1]
    assert np.isfinite(model.predict(x, verbose=0)).all()


@pytest.mark.slow
def test_metrics_of_all_workers_are_those_of_all_rows() -> None:
    import keras

    x, y = separable(37)
    x = x.astype(np.float32)
    model = tiny_model(metrics=["accuracy", keras.metrics.AUC(name="auc")])
    model.optimizer.learning_rate = 0.0  # the weights stay, so the epoch's metrics are the model's
    totals, states = fit(model, x, y, workers=3, epochs=1)
    expected = model.evaluate(x, y, batch_size=37, verbose=0, return_dict=True)
    assert states.results(totals[0].metric_state) == pytest.approx(expected, abs=1e-5)


def test_an_error_in_a_worker_reaches_the_user_as_itself() -> None:
    x, y = separable(8)
    model = tiny_model()
    x = x.astype(np.float32)
    y = y.copy()
    y[3] = np.nan
    with pytest.raises(WorkerError, match=r"worker 0 on .*TrainingError: labels: expected finite"):
        fit(model, x, y, workers=2)


@pytest.mark.slow
def test_numbers_that_are_not_finite_end_the_fit_with_a_reason() -> None:
    x, y = separable(8)
    x = x.astype(np.float32)
    x[0, 0] = np.inf
    with pytest.raises(WorkerError, match=r"not finite in epoch 1, step \d: training diverged"):
        fit(tiny_model(), x, y, workers=2)


@pytest.mark.slow
def test_other_rows_than_were_counted_end_the_fit() -> None:
    x, y = separable(8)
    with pytest.raises(WorkerError, match=r"expected 9 training rows, got 8"):
        fit(tiny_model(), x.astype(np.float32), y, workers=1, shares=(9,))


def test_frozen_weights_stay_at_home() -> None:
    import keras

    frozen = keras.layers.Dense(7, activation="relu", trainable=False)
    model = tiny_model(hidden=[frozen])
    kept = [weight.copy() for weight in frozen.get_weights()]
    layout = layout_of(model)
    assert layout.size == FEATURES * 5 + 5 + 7 + 1

    x, y = separable(12)
    spec = replace(spec_of(model), frozen={2: kept[0], 3: kept[1]})
    assert all(
        np.array_equal(ours, theirs)
        for ours, theirs in zip(spec.build().layers[1].get_weights(), kept, strict=True)
    )
    with pytest.raises(TrainingError):
        fit(model, x.astype(np.float32), y[:, [0, 0]], workers=1)


def test_runs_cover_all_rows() -> None:
    assert [list(run) for run in runs((2, 3))] == [[0, 1], [2, 3, 4]]
