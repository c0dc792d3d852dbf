"""Model input: features as stored, converted to the numbers that a model takes."""

from __future__ import annotations

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


def model_inputs(model: Any, features: Sequence[Any]) -> Any:
    """Convert a batch of features to what a Keras model is called with.

    Args:
        model: Built Keras model.
        features: Features of each input, in the order of ``model.inputs``; see `model_input`.

    Returns:
        A tensor; for several inputs a list or dictionary of tensors, as in the model.
    """
    tensors = [
        model_input(values, port.shape[1:], port.dtype)
        for values, port in zip(features, model.inputs, strict=True)
    ]
    return pack_inputs(model, tensors)


def pack_inputs(model: Any, tensors: Sequence[Any]) -> Any:
    """Return tensors for a Keras model's inputs in the form with which it is called.

    Args:
        model: Built Keras model.
        tensors: A tensor for each input, in the order of ``model.inputs``.

    Returns:
        A tensor; for several inputs a list or dictionary of tensors, as in the model.
    """
    return _packed(tensors, model, "_inputs_struct")


def pack_outputs(model: Any, tensors: Sequence[Any]) -> Any:
    """Return tensors for a Keras model's outputs in the form in which it returns them.

    Args:
        model: Built Keras model.
        tensors: A tensor for each output, in the order of ``model.outputs``.

    Returns:
        A tensor; for several outputs a list or dictionary of tensors, as in the model.
    """
    return _packed(tensors, model, "_outputs_struct")


def model_input(features: Any, shape: Sequence[int], dtype: str) -> Any:
    """Convert a batch of features to the input of a Keras model.

    It runs eagerly and inside a ``tf.function``. Pixels (uint8) become numbers in
    [0, 1] if the model takes floating-point numbers; a model of integers takes them
    unchanged. Strings remain strings.

    Args:
        features: Features ``(rows, feature_size)``, array or tensor.
        shape: Shape of the model's input without the batch dimension.
        dtype: Type of the model's input, such as ``float32`` or ``string``.

    Returns:
        Tensor ``(rows, *shape)`` of this type.
    """
    import tensorflow as tf

    features = tf.convert_to_tensor(features)
    if dtype == "string":
        return tf.reshape(features, [-1, *shape])
    numbers = tf.cast(features, dtype)
    if features.dtype == tf.uint8 and "float" in dtype:
        numbers = scale_pixels(numbers)
    return tf.reshape(numbers, [-1, *shape])


def _packed(tensors: Sequence[Any], model: Any, structure: str) -> Any:
    if len(tensors) == 1:
        return tensors[0]
    import keras

    # A model with several inputs or outputs is functional.
    return keras.tree.pack_sequence_as(getattr(model, structure), list(tensors))
