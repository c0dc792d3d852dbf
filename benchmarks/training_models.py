"""Models of bench_training.py, with rows that they can learn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from glasses_spark.runtime.keras import import_keras

# Of a grey picture for the CNN, and of a colour picture for the residual network.
SIDE: Final = 128
COLOUR_SIDE: Final = 64

# Of a row for the transformer: measurements in the order of time.
STEPS: Final = 32
MEASUREMENTS: Final = 16


@dataclass(frozen=True)
class Task:
    """A model and its rows.

    Attributes:
        build: Returns the compiled model, with one probability as its output.
        rows: Returns features ``(rows, ...)``, uint8 pixels or float32, and labels, 0 or 1.
    """

    build: Callable[[], Any]
    rows: Callable[[np.random.Generator, int], tuple[Any, Any]]


def _cnn() -> Any:
    from glasses_spark import build_cnn

    return build_cnn()


def _grey_pictures(generator: np.random.Generator, rows: int) -> tuple[Any, Any]:
    """Draw noise, with a bright bar if the label is 1."""
    labels = _labels(generator, rows)
    pixels = generator.integers(0, 200, (rows, SIDE, SIDE)).astype(np.uint8)
    pixels[:, 50:60, 30:100] += (labels[:, None, None] * 50).astype(np.uint8)
    return pixels, labels


def resnet() -> Any:
    """Build ResNet-18 (He et al. 2015) for small colour pictures: 11 million weights."""
    keras = import_keras()
    layers = keras.layers

    def convolution(x: Any, filters: int, strides: int = 1, size: int = 3) -> Any:
        x = layers.Conv2D(filters, size, strides, padding="same", use_bias=False)(x)
        return layers.BatchNormalization()(x)

    picture = keras.Input((COLOUR_SIDE, COLOUR_SIDE, 3))
    x = layers.Activation("relu")(convolution(picture, 64, strides=2, size=7))
    for stage, filters in enumerate((64, 128, 256, 512)):
        for block in range(2):
            strides = 2 if stage and not block else 1
            shortcut = convolution(x, filters, strides, size=1) if strides > 1 else x
            x = layers.Activation("relu")(convolution(x, filters, strides))
            x = layers.Add()([convolution(x, filters), shortcut])
            x = layers.Activation("relu")(x)
    x = layers.GlobalAveragePooling2D()(x)
    return _compiled(keras.Model(picture, layers.Dense(1, activation="sigmoid")(x)))


def _colour_pictures(generator: np.random.Generator, rows: int) -> tuple[Any, Any]:
    """Draw noise that is a little redder if the label is 1."""
    labels = _labels(generator, rows)
    x = generator.random((rows, COLOUR_SIDE, COLOUR_SIDE, 3), np.float32)
    x[..., 0] += 0.2 * labels[:, None, None]
    return x, labels


def transformer() -> Any:
    """Build two encoder layers (Vaswani et al. 2017) for short sequences of measurements."""
    keras = import_keras()
    layers = keras.layers
    sequence = keras.Input((STEPS, MEASUREMENTS))
    x = layers.Dense(64)(sequence)
    for _ in range(2):
        attention = layers.MultiHeadAttention(num_heads=4, key_dim=16)(x, x)
        x = layers.LayerNormalization()(layers.Add()([x, attention]))
        hidden = layers.Dense(64)(layers.Dense(256, activation="gelu")(x))
        x = layers.LayerNormalization()(layers.Add()([x, hidden]))
    x = layers.GlobalAveragePooling1D()(x)
    return _compiled(keras.Model(sequence, layers.Dense(1, activation="sigmoid")(x)))


def _sequences(generator: np.random.Generator, rows: int) -> tuple[Any, Any]:
    """Draw noise whose first measurement rises if the label is 1. The last one is the time."""
    labels = _labels(generator, rows)
    x = generator.standard_normal((rows, STEPS, MEASUREMENTS), np.float32)
    time = np.linspace(-1, 1, STEPS, dtype=np.float32)
    x[:, :, 0] += labels[:, None] * time
    x[:, :, -1] = time
    return x, labels


def _labels(generator: np.random.Generator, rows: int) -> Any:
    return generator.integers(0, 2, rows).astype(np.float32)


def _compiled(model: Any) -> Any:
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    return model


TASKS: Final = {
    "cnn": Task(_cnn, _grey_pictures),
    "resnet": Task(resnet, _colour_pictures),
    "transformer": Task(transformer, _sequences),
}
