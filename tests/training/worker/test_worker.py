"""Tests for glasses_spark.training.worker.worker, without Spark."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import pytest

from glasses_spark.errors import TrainingError, WorkerError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.schedule import share
from glasses_spark.training.weights import layout_of, read_vector
from tests.training.tiny import (
    FEATURES,
    global_batches,
    row_ranges,
    separable,
    spec_of,
    tiny_model,
)
from tests.training.worker.threaded_fit import OPTIMIZERS, SEED, fit


@pytest.fixture
def _float64() -> Iterator[None]:
    """Let Keras compute losses in float64; by default it does so in float32."""
    keras = import_keras()
    keras.config.dtype_policy()  # float32: Keras fixes it at its first use
    keras.config.set_floatx("float64")
    yield
    keras.config.set_floatx("float32")


@pytest.mark.slow
@pytest.mark.usefixtures("_float64")
@pytest.mark.parametrize(
    ("optimizer", "workers"),
    # test_synchronous_truth.py tests the CNN and more workers.
    [
        ("clipnorm", 4),
        ("average", 2),
        pytest.param("adam", 2, marks=pytest.mark.exhaustive),
        pytest.param("adafactor", 4, marks=pytest.mark.exhaustive),
    ],
)
def test_synchronous_workers_train_the_weights_of_one_keras_process(
    optimizer: str, workers: int
) -> None:
    import keras

    x, y = separable(30)  # 30 rows over 4 workers: shares of 7 and 8, batches of 4, 3 and 2
    ours, plain = (
        tiny_model(
            dtype="float64",
            optimizer=keras.optimizers.deserialize(copy.deepcopy(OPTIMIZERS[optimizer])),
        )
        for _ in range(2)
    )

    fit(ours, x, y, workers=workers)
    for epoch in range(3):
        for batch in global_batches(share(30, workers), batch_size=4, seed=SEED, epoch=epoch):
            plain.train_on_batch(x[batch], y[batch])
    plain.optimizer.finalize_variable_values(plain.trainable_variables)

    layout = layout_of(plain)
    difference = np.abs(read_vector(ours, layout) - read_vector(plain, layout)).max()
    assert difference < 1e-9


# tests/training/test_trainer.py has all of them, in Spark.
@pytest.mark.parametrize(
    ("mode", "frequency"),
    [
        ("synchronous", "batch"),
        ("hogwild", "epoch"),
        *(
            pytest.param(*case, marks=pytest.mark.exhaustive)
            for case in (
                ("asynchronous", "batch"),
                ("hogwild", "batch"),
                ("synchronous", "epoch"),
                ("asynchronous", "epoch"),
            )
        ),
    ],
)
def test_each_mode_uses_each_row_once_per_epoch_and_lowers_the_loss(
    mode: str, frequency: str
) -> None:
    x, y = separable(41)
    x = x.astype(np.float32)
    # Small, because asynchronous deltas are not averaged.
    model = tiny_model(optimizer="adam")
    model.optimizer.learning_rate = 0.02

    totals, states = fit(model, x, y, workers=3, mode=mode, frequency=frequency, epochs=6)

    assert [epoch.rows for epoch in totals] == [41] * 6
    assert all([s.rows for s in epoch.workers] == [13, 14, 14] for epoch in totals)
    losses = [states.results(epoch.metric_state)["loss"] for epoch in totals]
    assert losses[-1] < losses[0]


@pytest.mark.slow
def test_a_worker_trains_with_fewer_rows_than_a_batch() -> None:
    x, y = separable(5)
    model = tiny_model()
    before = read_vector(model, layout_of(model))
    totals, _ = fit(model, x.astype(np.float32), y, workers=2, batch_size=100, epochs=1)
    assert [share.rows for share in totals[0].workers] == [2, 3]
    assert np.abs(read_vector(model, layout_of(model)) - before).max() > 0


@pytest.mark.slow
def test_workers_without_rows_do_not_change_the_result() -> None:
    x, y = separable(8)
    models = [tiny_model(dtype="float64", optimizer="sgd") for _ in range(2)]
    fit(models[0], x, y, workers=1)
    fit(models[1], x, y, workers=3, shares=(8, 0, 0))
    layout = layout_of(models[0])
    alone, with_idle_workers = (read_vector(model, layout) for model in models)
    assert np.array_equal(alone, with_idle_workers)


@pytest.mark.slow
def test_equal_synchronous_fits_give_equal_weights_to_the_last_bit() -> None:
    x, y = separable(33)
    x = x.astype(np.float32)
    models = [tiny_model() for _ in range(2)]
    for model in models:
        fit(model, x, y, workers=3)
    first, second = (read_vector(model, layout_of(model)) for model in models)
    assert np.array_equal(first, second)


@pytest.mark.slow
def test_trained_weights_satisfy_their_constraints() -> None:
    import keras

    x, y = separable(24)
    normed = keras.layers.Dense(4, kernel_constraint=keras.constraints.UnitNorm())
    model = tiny_model(hidden=[normed])
    fit(model, x.astype(np.float32), y, workers=2)
    assert np.linalg.norm(normed.kernel.numpy(), axis=0) == pytest.approx(np.ones(4), abs=1e-5)


@pytest.mark.slow
def test_a_learning_rate_schedule_continues_across_epochs() -> None:
    import keras

    x, y = separable(16)
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, decay_steps=4, decay_rate=0.5)
    model = tiny_model(dtype="float64", optimizer=keras.optimizers.SGD(rate))
    fit(model, x, y, workers=2, batch_size=4, epochs=3)  # 2 steps an epoch
    assert int(model.optimizer.iterations) == 6
    assert float(model.optimizer.learning_rate) == pytest.approx(0.1 * 0.5 ** (6 / 4))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["synchronous", "asynchronous"])
def test_moving_statistics_stay_within_the_range_of_the_workers_values(mode: str) -> None:
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
def test_the_metrics_of_an_epoch_are_those_of_all_rows() -> None:
    import keras

    x, y = separable(37)
    x = x.astype(np.float32)
    model = tiny_model(metrics=["accuracy", keras.metrics.AUC(name="auc")])
    model.optimizer.learning_rate = 0.0  # so that the metrics of the epoch are those of the model
    totals, states = fit(model, x, y, workers=3, epochs=1)
    expected = model.evaluate(x, y, batch_size=37, verbose=0, return_dict=True)
    assert states.results(totals[0].metric_state) == pytest.approx(expected, abs=1e-5)


def test_the_error_of_a_worker_is_the_error_of_the_fit() -> None:
    x, y = separable(8)
    model = tiny_model()
    x = x.astype(np.float32)
    y = y.copy()
    y[3] = np.nan
    with pytest.raises(WorkerError, match=r"worker 0 on .*TrainingError: labels: expected finite"):
        fit(model, x, y, workers=2)


@pytest.mark.slow
def test_values_that_are_not_finite_end_the_fit() -> None:
    x, y = separable(8)
    x = x.astype(np.float32)
    x[0, 0] = np.inf
    with pytest.raises(WorkerError, match=r"not finite, in epoch 1, step \d: training diverged"):
        fit(tiny_model(), x, y, workers=2)


@pytest.mark.slow
def test_another_count_of_rows_than_expected_ends_the_fit() -> None:
    x, y = separable(8)
    with pytest.raises(WorkerError, match=r"expected 9 training rows, got 8"):
        fit(tiny_model(), x.astype(np.float32), y, workers=1, shares=(9,))


def test_labels_of_another_length_than_the_output_end_the_fit() -> None:
    x, y = separable(12)
    with pytest.raises(TrainingError):
        fit(tiny_model(), x.astype(np.float32), y[:, [0, 0]], workers=1)


def test_frozen_weights_do_not_change() -> None:
    import keras

    x, y = separable(12)
    frozen = keras.layers.Dense(7, activation="relu", trainable=False)
    model = tiny_model(hidden=[frozen])
    before = frozen.get_weights()
    assert layout_of(model).size == FEATURES * 5 + 5 + 7 + 1  # only the other two layers
    on_worker = spec_of(model).build().layers[1].get_weights()
    assert all(map(np.array_equal, before, on_worker))
    fit(model, x.astype(np.float32), y, workers=1)
    assert all(map(np.array_equal, before, frozen.get_weights()))


def test_row_ranges_cover_all_rows() -> None:
    assert [list(rows) for rows in row_ranges((2, 3))] == [[0, 1], [2, 3, 4]]
