"""Model input: features as stored, converted to the numbers that a model takes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

WHITE: Final = 255


def scale_pixels(pixels: Any) -> Any:
    """Scale grey levels from [0, 255] to [0, 1].

    Args:
        pixels: NumPy array, or TensorFlow tensor of a floating-point type.

    Returns:
        Array or tensor of the same shape. Floating-point types do not change, and
        an array of uint8 gives float64.
    """
    return pixels / WHITE


def input_dtype(config: str) -> str:
    """Return the NumPy type of a model's input, without building the model.

    Args:
        config: Architecture, as returned by ``model.to_json()``.

    Returns:
        The type of the first input layer; ``float32`` if the architecture names none.
    """
    layers = json.loads(config).get("config", {}).get("layers", [])
    types = (each["config"].get("dtype") for each in layers if each["class_name"] == "InputLayer")
    return next((dtype for dtype in types if isinstance(dtype, str)), "float32")


def model_input(features: Any, shape: Sequence[int], dtype: str) -> Any:
    """Convert a batch of features to the input of a Keras model.

    It runs eagerly and inside a ``tf.function``. Pixels (uint8) become numbers in
    [0, 1] if the model takes floating-point numbers; a model of integers takes them
    unchanged.

    Args:
        features: Features ``(rows, feature_size)``, array or tensor.
        shape: Shape of the model's input without the batch dimension.
        dtype: Type of the model's input, such as ``float32``.

    Returns:
        Tensor ``(rows, *shape)`` of this type.
    """
    import tensorflow as tf

    features = tf.convert_to_tensor(features)
    numbers = tf.cast(features, dtype)
    if features.dtype == tf.uint8 and "float" in dtype:
        numbers = scale_pixels(numbers)
    return tf.reshape(numbers, [-1, *shape])
