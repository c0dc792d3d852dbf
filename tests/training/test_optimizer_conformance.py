"""Tests that every optimizer of the installed Keras trains as in Keras, or is refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from glasses_spark.config.training import OPTIMIZERS
from glasses_spark.errors import TrainingError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.optimizer_checks import require_supported_optimizer
from glasses_spark.training.optimizers import name_of, optimizer_of
from glasses_spark.training.server.shared_weights import SharedWeights
from glasses_spark.training.weights import layout_of, read_vector
from tests.training.optimizer_cases import (
    ABSTRACT,
    NEED_A_BUILD,
    NOT_BY_NAME,
    OPTIONS,
    WRAPPERS,
    arguments_of,
    constructor_options,
    multi_optimizer,
    optimizer_classes,
    schedule,
)
from tests.training.tiny import FEATURES, glorot, tiny_estimator, tiny_model

STEPS = 5

NAMES = sorted([*OPTIMIZERS, *map(str.lower, NOT_BY_NAME)])


def two_layers(optimizer: Any, *, dtype: str = "float32") -> Any:
    keras = import_keras()
    model = keras.Sequential(
        [
            keras.Input((FEATURES,), dtype=dtype),
            keras.layers.Dense(5, "tanh", name="hidden", dtype=dtype, kernel_initializer=glorot(1)),
            keras.layers.Dense(1, "sigmoid", name="out", dtype=dtype, kernel_initializer=glorot(2)),
        ]
    )
    model.compile(optimizer=optimizer, loss="binary_crossentropy")
    return model


def gradients_of(model: Any) -> list[Any]:
    generator = np.random.default_rng(0)
    size, dtype = layout_of(model).size, layout_of(model).dtype
    return [generator.normal(0, 0.1, size).astype(dtype) for _ in range(STEPS)]


def train_in_driver(model: Any, gradients: list[Any]) -> None:
    """Train as the driver does with ``frequency="batch"``."""
    weights = SharedWeights(model, workers=1, uses_gradients=True)
    for gradient in gradients:
        weights.apply_mean([gradient], [1])
    weights.write_to_model(weights.vector())
    weights.finish()


def train_in_keras(model: Any, gradients: list[Any]) -> None:
    """Train as ``keras.Model.fit`` does with these gradients, in a TensorFlow graph."""
    import tensorflow as tf

    model.optimizer.build(model.trainable_variables)
    step = tf.function(lambda arrays: model.optimizer.apply(arrays, model.trainable_variables))
    for gradient in gradients:
        step([tf.constant(array) for array in layout_of(model).split(gradient)])
    model.optimizer.finalize_variable_values(model.trainable_variables)


def assert_alike(ours: Any, plain: Any, before: Any, *, tolerance: float) -> None:
    """Compare the weights, by the distance moved, and all variables of the optimizers."""
    layout = layout_of(plain)
    expected = read_vector(plain, layout)
    moved = np.linalg.norm(expected - before)
    distance = np.linalg.norm(read_vector(ours, layout) - expected)
    assert distance <= tolerance * moved, distance / moved
    pairs = zip(ours.optimizer.variables, plain.optimizer.variables, strict=True)
    for index, (a, b) in enumerate(pairs):
        x, y = np.asarray(a.numpy(), np.float64), np.asarray(b.numpy(), np.float64)
        assert x.shape == y.shape, index
        assert np.linalg.norm(x - y) <= 10 * tolerance * np.linalg.norm(y), (a.path, x - y)


def check_in_driver(make: Callable[[], Any], *, dtype: str = "float32") -> None:
    ours, plain = (two_layers(make(), dtype=dtype) for _ in range(2))
    before = read_vector(plain, layout_of(plain))
    if name_of(ours.optimizer) in NEED_A_BUILD:
        ours.optimizer.build(ours.trainable_variables)
    require_supported_optimizer(ours, "batch")
    train_in_driver(ours, gradients_of(ours))
    train_in_keras(plain, gradients_of(plain))
    assert_alike(ours, plain, before, tolerance=1e-6 if dtype == "float32" else 1e-12)


def made(name_of_class: str, **options: Any) -> Any:
    return type(optimizer_of(name_of_class))(**options)


# `./run test all` tests the others, and tests/conformance has each of them, on a worker.
_ALWAYS = ("sgd", "nadam")
_BY_NAME = pytest.mark.parametrize(
    "name",
    [n if n in _ALWAYS else pytest.param(n, marks=pytest.mark.exhaustive) for n in NAMES],
)


@pytest.mark.slow
@_BY_NAME
def test_an_optimizer_in_the_driver_trains_as_in_keras(name: str) -> None:
    for options in arguments_of(type(optimizer_of(name))):
        try:
            check_in_driver(partial(made, name, **options))
        except Exception as error:
            error.add_note(f"options: {options}")
            raise


@_BY_NAME
def test_a_schedule_in_the_driver_counts_as_in_keras(name: str) -> None:
    rate = schedule()
    check_in_driver(partial(made, name, learning_rate=rate, gradient_accumulation_steps=2))


@pytest.mark.parametrize("options", [{}, {"loss_scale_factor": 4.0}])
def test_an_optimizer_for_each_layer_trains_as_in_keras(options: Any) -> None:
    check_in_driver(lambda: multi_optimizer(**options))


def test_every_class_of_keras_has_an_entry() -> None:
    names = optimizer_classes().keys()
    assert names > ABSTRACT | WRAPPERS
    for name in names - ABSTRACT - WRAPPERS:
        assert set(constructor_options(optimizer_classes()[name])) <= OPTIONS.keys(), name
        assert type(optimizer_of(name.lower())).__name__ == name
    by_name = {name.lower() for name in names - ABSTRACT - WRAPPERS - NOT_BY_NAME}
    assert set(OPTIMIZERS) == by_name


@pytest.mark.parametrize(
    ("name", "options"),
    [("sgd", {"momentum": 0.9}), ("nadam", {}), ("adamw", {"amsgrad": True}), ("muon", {})],
)
def test_a_used_optimizer_continues_from_its_state(name: str, options: Any) -> None:
    ours, plain = (two_layers(made(name, **options)) for _ in range(2))
    gradients = gradients_of(ours)
    for model in (ours, plain):
        train_in_keras(model, gradients[:2])
    before = read_vector(plain, layout_of(plain))
    train_in_driver(ours, gradients[2:])
    train_in_keras(plain, gradients[2:])
    assert int(ours.optimizer.iterations) == STEPS
    assert_alike(ours, plain, before, tolerance=1e-6)


@pytest.mark.parametrize("by", ["names", "variables"])
@pytest.mark.parametrize("name", ["adamw", "sgd", "muon", "lion"])
def test_weights_excluded_from_weight_decay_do_not_decay(name: str, by: str) -> None:
    def make() -> Any:
        model = two_layers(made(name, weight_decay=0.5))
        if by == "names":
            model.optimizer.exclude_from_weight_decay(var_names=["bias", "out"])
        else:
            model.optimizer.exclude_from_weight_decay(var_list=model.layers[0].weights)
        return model

    ours, plain = make(), make()
    before = read_vector(plain, layout_of(plain))
    train_in_driver(ours, gradients_of(ours))
    train_in_keras(plain, gradients_of(plain))
    assert_alike(ours, plain, before, tolerance=1e-6)


def halving() -> Any:
    """Return an optimizer class of a user."""
    keras = import_keras()

    class Halving(keras.optimizers.Optimizer):  # type: ignore[name-defined]
        """Has an argument that get_config leaves out, and a slot."""

        def __init__(self, learning_rate: float = 0.1, factor: float = 2.0, **options: Any) -> None:
            super().__init__(learning_rate=learning_rate, **options)
            self.factor = factor

        def build(self, variables: Any) -> None:
            if not self.built:
                super().build(variables)
                self.sums = self.add_optimizer_variables(variables, "sum")

        def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
            total = self.sums[self._get_variable_index(variable)]
            self.assign(total, total / self.factor + gradient)
            self.assign_sub(variable, learning_rate * total)

    return Halving


def test_an_optimizer_of_a_user_trains_as_in_keras() -> None:
    kind = halving()
    check_in_driver(lambda: kind(factor=4.0))


def test_an_optimizer_that_workers_cannot_rebuild_is_refused() -> None:
    model = tiny_model(optimizer=halving()(factor=4.0))
    with pytest.raises(TrainingError, match="Halving: its get_config leaves out factor"):
        tiny_estimator(model=model)
    model = tiny_model(optimizer=import_keras().optimizers.SGD(lambda: 0.1))
    with pytest.raises(TrainingError, match="its learning rate is a function"):
        tiny_estimator(model=model)


def test_a_weight_without_gradient_does_not_decay() -> None:
    keras = import_keras()

    @keras.saving.register_keras_serializable("glasses_spark_tests")
    class Detached(keras.layers.Dense):  # type: ignore[name-defined]
        def call(self, inputs: Any) -> Any:
            return inputs + keras.ops.stop_gradient(super().call(inputs))

    def make() -> Any:
        model = keras.Sequential(
            [
                keras.Input((FEATURES,)),
                Detached(FEATURES, kernel_initializer=glorot(1)),
                keras.layers.Dense(1, kernel_initializer=glorot(2)),
            ]
        )
        model.compile(optimizer=keras.optimizers.AdamW(0.1, weight_decay=0.5), loss="mse")
        return model

    ours, plain = make(), make()
    before = read_vector(plain, layout_of(plain))
    gradients = gradients_of(ours)
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        train_in_driver(ours, gradients)
    for gradient in gradients:
        arrays = layout_of(plain).split(gradient)
        with pytest.warns(UserWarning, match="Gradients do not exist"):
            plain.optimizer.apply([None, None, *arrays[2:]], plain.trainable_variables)
    assert_alike(ours, plain, before, tolerance=1e-6)


def embedding(optimizer: Any) -> Any:
    keras = import_keras()
    model = keras.Sequential(
        [
            keras.Input((3,), dtype="int32"),
            keras.layers.Embedding(5, 2, name="words"),
            keras.layers.Flatten(),
            keras.layers.Dense(1, "sigmoid"),
        ]
    )
    model.compile(optimizer=optimizer, loss="binary_crossentropy")
    return model


def test_rows_of_an_embedding_need_a_linear_optimizer_or_one_on_each_worker() -> None:
    with pytest.raises(TrainingError, match=r"Adam: .*words/embeddings .*Use frequency=.epoch"):
        require_supported_optimizer(embedding("adam"), "batch")
    require_supported_optimizer(embedding("adam"), "epoch")
    require_supported_optimizer(embedding("sgd"), "batch")
    clipped = embedding(import_keras().optimizers.SGD(clipnorm=0.1))
    with pytest.raises(TrainingError, match=r"SGD: .*squares or clips rows"):
        require_supported_optimizer(clipped, "batch")


@pytest.mark.parametrize(
    ("make", "frequency", "message"),
    [
        (lambda o: o.Adam(use_ema=True), "epoch", 'Adam: use_ema=True .* frequency="batch"'),
        (lambda o: o.LossScaleOptimizer(o.Adam()), "batch", 'scale .* frequency="epoch"'),
        (lambda o: o.ScheduleFreeAdamW(), "batch", r"optimizer\.build\(model\.trainable_variables"),
        (lambda o: o.Optimizer(0.1), "batch", "Optimizer has no update_step"),
        (lambda o: o.MultiOptimizer(lambda _: o.SGD()), "batch", "Use an OptimizerMap"),
    ],
)
def test_what_cannot_be_exact_is_refused(make: Any, frequency: str, message: str) -> None:
    model = two_layers(make(import_keras().optimizers))
    with pytest.raises(TrainingError, match=message):
        require_supported_optimizer(model, frequency)


def test_an_optimizer_that_fails_for_the_weights_is_refused() -> None:
    # Keras' own Muon mixes float32 and float64.
    with pytest.raises(TrainingError, match=r"Muon fails for the weights of this model: .*float64"):
        require_supported_optimizer(two_layers("muon", dtype="float64"), "batch")


def test_adafactor_is_warned_of_its_underflow(caplog: pytest.LogCaptureFixture) -> None:
    keras = import_keras().optimizers
    require_supported_optimizer(two_layers(keras.Adafactor(epsilon_1=1e-16)), "batch")
    assert not caplog.records
    require_supported_optimizer(two_layers(keras.Adafactor()), "batch")
    assert "Adafactor(epsilon_1=1e-16)" in caplog.text


def test_an_optimizer_of_another_model_is_refused() -> None:
    first, second = two_layers("adam"), two_layers("adam")
    train_in_keras(first, gradients_of(first))
    second.optimizer = first.optimizer
    with pytest.raises(TrainingError, match="has updated others"):
        train_in_driver(second, [])
