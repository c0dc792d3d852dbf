"""Tests that a fit by one worker has the weights and the optimizer of ``keras.Model.fit``."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from glasses_spark.config.training import OPTIMIZERS
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.optimizers import optimizer_of
from glasses_spark.training.weights import layout_of, read_vector
from tests.training.optimizer_cases import multi_optimizer
from tests.training.test_optimizer_conformance import assert_alike, embedding
from tests.training.tiny import global_batches, separable, tiny_model
from tests.training.worker.threaded_fit import SEED, fit

pytestmark = pytest.mark.slow

ROWS, BATCH, EPOCHS = 22, 4, 2


def compare(make: Any, *, frequency: str, used: bool = False, built: bool = False) -> None:
    x, y = separable(ROWS)
    x = x.astype(np.float32)
    ours, plain = (tiny_model(optimizer=make()) for _ in range(2))
    if built:
        for model in (ours, plain):
            model.optimizer.build(model.trainable_variables)
    if used:
        for model in (ours, plain):
            model.train_on_batch(x, y)
    compare_on(x, y, ours, plain, frequency=frequency)


def compare_on(x: Any, y: Any, ours: Any, plain: Any, *, frequency: str) -> None:
    before = read_vector(plain, layout_of(plain))
    fit(ours, x, y, workers=1, frequency=frequency, epochs=EPOCHS, batch_size=BATCH)
    for epoch in range(EPOCHS):
        for batch in global_batches((ROWS,), batch_size=BATCH, seed=SEED, epoch=epoch):
            plain.train_on_batch(x[batch], y[batch])
    plain.optimizer.finalize_variable_values(plain.trainable_variables)
    assert_alike(ours, plain, before, tolerance=1e-6)


NAMES = (*OPTIMIZERS, "adafactor")
# `./run test all` runs the others, and tests/conformance each optimizer by batch.
ALWAYS = (("muon", "batch"), ("nadam", "epoch"))
FREQUENCIES = pytest.mark.parametrize(
    "frequency", ["batch", pytest.param("epoch", marks=pytest.mark.exhaustive)]
)


@pytest.mark.parametrize(
    ("name", "frequency"),
    [
        pytest.param(*case, marks=() if case in ALWAYS else pytest.mark.exhaustive)
        for case in product(NAMES, ("batch", "epoch"))
    ],
)
def test_each_optimizer(name: str, frequency: str) -> None:
    compare(lambda: optimizer_of(name), frequency=frequency)


@FREQUENCIES
def test_options_that_count_steps_or_scale_the_loss(frequency: str) -> None:
    keras = import_keras().optimizers
    options = {"gradient_accumulation_steps": 3, "loss_scale_factor": 16.0}
    compare(lambda: keras.Adam(0.02, **options), frequency=frequency)


@FREQUENCIES
def test_an_optimizer_that_copies_the_weights(frequency: str) -> None:
    compare(lambda: import_keras().optimizers.ScheduleFreeAdamW(), frequency=frequency, built=True)


def test_a_moving_average_of_the_weights() -> None:
    keras = import_keras().optimizers
    compare(lambda: keras.Adam(0.02, use_ema=True, ema_momentum=0.8), frequency="batch")


@pytest.mark.parametrize("frequency", ["batch", "epoch"])
def test_a_used_optimizer(frequency: str) -> None:
    compare(lambda: import_keras().optimizers.Adam(0.02), frequency=frequency, used=True)


def test_dynamic_loss_scaling_on_the_worker() -> None:
    keras = import_keras().optimizers
    scaled = lambda: keras.LossScaleOptimizer(keras.Adam(0.02), dynamic_growth_steps=3)  # noqa: E731
    compare(scaled, frequency="epoch")


@FREQUENCIES
def test_an_optimizer_for_each_layer(frequency: str) -> None:
    compare(multi_optimizer, frequency=frequency)


@FREQUENCIES
def test_weights_excluded_from_weight_decay(frequency: str) -> None:
    def make() -> Any:
        optimizer = import_keras().optimizers.AdamW(0.02, weight_decay=0.5)
        optimizer.exclude_from_weight_decay(var_names=["bias"])
        return optimizer

    compare(make, frequency=frequency)


@pytest.mark.parametrize(("name", "frequency"), [("sgd", "batch"), ("adam", "epoch")])
def test_rows_of_an_embedding(name: str, frequency: str) -> None:
    generator = np.random.default_rng(0)
    x = generator.integers(0, 5, (ROWS, 3)).astype(np.float32)
    y = generator.integers(0, 2, (ROWS, 1)).astype(float)
    ours, plain = (embedding(name) for _ in range(2))
    plain.set_weights(ours.get_weights())
    compare_on(x, y, ours, plain, frequency=frequency)
