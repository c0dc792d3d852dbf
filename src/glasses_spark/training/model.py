"""Models: the CNN of the published experiment, and models from Keras layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from glasses_spark.config.data import SMALLEST_SIDE
from glasses_spark.config.fields import whole_number
from glasses_spark.config.training import DEFAULT_OPTIMIZER
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.keras_settings import CHANNELS_LAST
from glasses_spark.seeds import derive_seed
from glasses_spark.training.optimizers import optimizer_of

# Set in each layer: Keras' own default may be another one, and the images have this one.
CHANNELS: Final = {"data_format": CHANNELS_LAST}


def build_model(
    layers: Sequence[Any],
    optimizer: Any = DEFAULT_OPTIMIZER,
    loss: Any = "binary_crossentropy",
    metrics: Sequence[Any] = ("accuracy",),
) -> Any:
    """Build a compiled Keras model from layers.

    Args:
        layers: Keras layers; the first one defines the shape of the input.
        optimizer: Keras optimizer, or its name.
        loss: Keras loss, or its name.
        metrics: Keras metrics, or their names.

    Returns:
        A compiled ``keras.Sequential``.
    """
    keras = import_keras()
    model = keras.Sequential(list(layers))
    model.compile(optimizer=optimizer, loss=loss, metrics=list(metrics))
    return model


def build_cnn(
    height: int = 128,
    width: int = 128,
    *,
    optimizer: Any = DEFAULT_OPTIMIZER,
    learning_rate: float | None = None,
    loss: Any = "binary_crossentropy",
    metrics: Sequence[Any] = ("accuracy",),
    seed: int = 0,
) -> Any:
    """Build the CNN of the published experiment: 434,465 parameters at 128 x 128.

    Args:
        height: Rows of an image, at least 16 pixels.
        width: Columns of an image, at least 16 pixels.
        optimizer: Keras optimizer, or its name.
        learning_rate: Learning rate of the optimizer; None keeps the optimizer's own.
        loss: Keras loss, or its name.
        metrics: Keras metrics, or their names.
        seed: Seed of the initial weights.

    Returns:
        A compiled ``keras.Sequential`` from grey images ``(batch, height,
        width, 1)``, float32 in [0, 1], to the probability of glasses ``(batch, 1)``.

    Raises:
        ConfigError: A side is shorter than 16 pixels.
    """
    for name, side in (("image.height", height), ("image.width", width)):
        whole_number(SMALLEST_SIDE).check(name, side)
    keras = import_keras()
    layers = keras.layers

    def initializer(layer: str) -> Any:
        # One seed for each layer: with a global seed the weights would depend on earlier calls.
        return keras.initializers.GlorotUniform(seed=derive_seed(seed, "weights", layer))

    def named(kind: Any, name: str, *arguments: Any, **options: Any) -> Any:
        return kind(*arguments, name=name, kernel_initializer=initializer(name), **options)

    optimizer = optimizer_of(optimizer)
    if learning_rate is not None:
        optimizer.learning_rate = learning_rate
    model = keras.Sequential(
        [
            keras.Input((height, width, 1), name="grey"),
            named(layers.Conv2D, "edges", 8, 3, activation="relu", **CHANNELS),
            layers.MaxPooling2D(name="edges_pooled", **CHANNELS),
            named(layers.Conv2D, "shapes", 16, 5, activation="relu", **CHANNELS),
            layers.MaxPooling2D(name="shapes_pooled", **CHANNELS),
            layers.Flatten(name="flat", **CHANNELS),
            named(layers.Dense, "hidden_1", 32, activation="relu"),
            named(layers.Dense, "hidden_2", 16, activation="relu"),
            named(layers.Dense, "glasses", 1, activation="sigmoid"),
        ],
        # The name of the first model of a process, for all: see runtime/kernel_cache.py.
        name="sequential",
    )
    model.compile(optimizer=optimizer, loss=loss, metrics=list(metrics))
    return model
