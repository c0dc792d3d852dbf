"""Tests for glasses_spark.training.model."""

from __future__ import annotations

import numpy as np
import pytest

from glasses_spark.errors import ConfigError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.model import build_cnn, build_model


def test_the_cnn_is_that_of_the_published_experiment() -> None:
    cnn = build_cnn()
    assert cnn.count_params() == 434_465
    assert cnn.input_shape == (None, 128, 128, 1)
    assert cnn.output_shape == (None, 1)
    assert cnn.loss == "binary_crossentropy"


def test_the_seed_alone_decides_the_initial_weights() -> None:
    weights = [build_cnn(16, 16, seed=seed).get_weights() for seed in (1, 1, 2)]
    assert all(np.array_equal(a, b) for a, b in zip(weights[0], weights[1], strict=True))
    assert not np.array_equal(weights[0][0], weights[2][0])


def test_a_learning_rate_replaces_that_of_the_optimizer() -> None:
    assert float(build_cnn(16, 16, learning_rate=0.5).optimizer.learning_rate) == 0.5
    assert float(build_cnn(16, 16).optimizer.learning_rate) == pytest.approx(0.001)


@pytest.mark.parametrize(("height", "width", "side"), [(15, 16, "height"), (16, 8, "width")])
def test_an_image_that_is_too_small_is_refused(height: int, width: int, side: str) -> None:
    with pytest.raises(ConfigError, match=rf"image\.{side}: expected a whole number >= 16"):
        build_cnn(height, width)


def test_layers_make_a_compiled_model() -> None:
    keras = import_keras()
    model = build_model([keras.Input((3,)), keras.layers.Dense(1)], "sgd", "mse", ())
    assert model.compiled
    assert model.loss == "mse"
    assert type(model.optimizer) is keras.optimizers.SGD
