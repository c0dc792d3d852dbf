"""Tests for glasses_spark.training.worker.cpu_kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.model import build_cnn
from glasses_spark.training.worker import cpu_kernels as module
from glasses_spark.training.worker.cpu_kernels import convolution, use_cpu_kernels

keras = import_keras()
import tensorflow as tf  # noqa: E402


def gradients(convolve: Any, x: Any, kernel: Any) -> list[Any]:
    with tf.GradientTape() as tape:
        tape.watch([x, kernel])
        y = convolve(x, kernel)
        # Weighted, so that a misplaced gradient changes the result.
        weights = tf.reshape(tf.range(tf.size(y)), tf.shape(y))
        loss = tf.reduce_sum(tf.sin(y) * tf.cast(weights % 7, y.dtype))
    return [y, *tape.gradient(loss, [x, kernel])]


@pytest.mark.parametrize(
    ("height", "width", "rows", "columns", "channels", "filters"),
    [
        pytest.param(9, 10, 3, 3, 1, 8, id="first layer, even"),
        pytest.param(9, 11, 3, 3, 1, 8, id="first layer, odd"),
        pytest.param(12, 13, 5, 5, 8, 16, id="second layer, odd"),
        pytest.param(12, 12, 5, 4, 8, 16, id="even kernel"),
        pytest.param(5, 6, 5, 6, 3, 4, id="kernel as large as the image"),
        pytest.param(7, 8, 1, 1, 2, 2, id="one by one"),
        pytest.param(8, 9, 3, 3, 12, 12, id="many channels"),
        pytest.param(8, 8, 2, 1, 9, 8, id="many in, few out"),
    ],
)
def test_a_convolution_and_its_gradients_equal_those_of_tensorflow(
    height: int, width: int, rows: int, columns: int, channels: int, filters: int
) -> None:
    generator = np.random.default_rng(0)
    x = tf.constant(generator.normal(size=(3, height, width, channels)))
    kernel = tf.constant(generator.normal(size=(rows, columns, channels, filters)))

    actual = gradients(convolution, x, kernel)

    expected = gradients(lambda x, k: tf.nn.conv2d(x, k, 1, "VALID"), x, kernel)
    for ours, reference in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, reference, rtol=1e-11, atol=1e-11)


def gradient_of(model: Any, x: Any, y: Any) -> list[Any]:
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x=x, y=y, y_pred=model(x, training=True))
    return [loss, *tape.gradient(loss, [v.value for v in model.trainable_variables])]


@pytest.fixture
def _avx_512(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_cpu_flag", lambda wanted, cpu_info: True)


def rows(side: int) -> tuple[Any, Any]:
    generator = np.random.default_rng(1)
    x = generator.random((6, side, side, 1)).astype("float32")
    return x, np.array([[0], [1], [1], [0], [1], [0]], "float32")


@pytest.mark.usefixtures("_avx_512")
def test_the_gradients_of_the_cnn_do_not_change() -> None:
    x, y = rows(32)
    model = build_cnn(32, 32)
    expected = gradient_of(model, x, y)

    use_cpu_kernels(model)

    assert model.layers[0].activation is keras.activations.linear
    for ours, reference in zip(gradient_of(model, x, y), expected, strict=True):
        np.testing.assert_allclose(ours, reference, rtol=1e-4, atol=1e-7)


@pytest.mark.usefixtures("_avx_512")
def test_other_layers_are_not_replaced() -> None:
    layers = keras.layers
    first = keras.Input((16, 16, 2))
    strided = layers.Conv2D(4, 3, strides=2, activation="relu")(first)
    padded = layers.Conv2D(4, 3, padding="same", activation="relu")(strided)
    seen_twice = layers.Conv2D(4, 2, activation="relu", name="seen_twice")(padded)
    pooled = layers.MaxPooling2D()(seen_twice)
    joined = layers.Concatenate()([layers.Flatten()(pooled), layers.Flatten()(seen_twice)])
    model = keras.Model(first, layers.Dense(1, activation="sigmoid")(joined))
    model.compile(loss="binary_crossentropy")
    x = np.random.default_rng(2).random((6, 16, 16, 2)).astype("float32")
    expected = gradient_of(model, x, rows(16)[1])

    use_cpu_kernels(model)

    convolutions = [layer for layer in model.layers if isinstance(layer, layers.Conv2D)]
    assert [layer.activation is keras.activations.relu for layer in convolutions] == [True] * 3
    replaced = [layer.convolution_op is convolution for layer in convolutions]
    assert replaced == [False, False, True]
    for ours, reference in zip(gradient_of(model, x, rows(16)[1]), expected, strict=True):
        np.testing.assert_allclose(ours, reference, rtol=1e-4, atol=1e-6)


def test_layers_are_not_replaced_without_avx_512(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "has_cpu_flag", lambda wanted, cpu_info: False)
    model = build_cnn(32, 32)
    use_cpu_kernels(model)
    assert model.layers[0].activation is keras.activations.relu


@pytest.mark.usefixtures("_avx_512")
@pytest.mark.parametrize("visible", [True, False])
def test_layers_are_not_replaced_if_a_gpu_is_visible_to_the_worker(
    monkeypatch: pytest.MonkeyPatch, visible: bool
) -> None:
    model = build_cnn(32, 32)
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["a device"])
    monkeypatch.setattr(tf.config, "get_visible_devices", lambda kind: ["a device"] * visible)

    use_cpu_kernels(model)

    assert (model.layers[0].activation is keras.activations.relu) == visible
