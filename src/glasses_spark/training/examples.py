"""Examples: small batches of inputs for a model, with which it is tried before a fit."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from glasses_spark.scoring.features import STRING
from glasses_spark.scoring.model_input import pack_inputs

# Sides of inputs that are open.
_OPEN_SIDE: Final = 4
# A word that lookup layers take as unknown.
_WORD: Final = "word"


def example_inputs(model: Any, rows: int) -> Any:
    """Return inputs for a model: numbers from 0 to 1, or words and numbers that it looks up.

    Args:
        model: Built Keras model.
        rows: Number of rows.

    Returns:
        What the model is called with; arrays of strings are arrays of objects.
    """
    generator = np.random.default_rng(0)
    return pack_inputs(model, [_example(model, port, rows, generator) for port in model.inputs])


def _example(model: Any, port: Any, rows: int, generator: np.random.Generator) -> Any:
    import tensorflow as tf

    shape, dtype = (rows, *(side or _OPEN_SIDE for side in port.shape[1:])), str(port.dtype)
    if "float" in dtype:
        return tf.cast(generator.uniform(0, 1, shape), dtype)
    vocabulary = _vocabulary(model, port)
    if dtype == STRING:
        return tf.constant(generator.choice(vocabulary or [_WORD], shape).astype(str))
    if vocabulary:
        return tf.cast(generator.choice(np.array(vocabulary, np.int64), shape), dtype)
    return tf.cast(generator.integers(0, _known_numbers(model), shape), dtype)


def _known_numbers(model: Any) -> int:
    """Return 2, or 1 if an embedding knows nothing but 0."""
    sizes = [getattr(layer, "input_dim", 2) for layer in model._flatten_layers()]
    return min([2, *(size for size in sizes if isinstance(size, int))])


def _vocabulary(model: Any, port: Any) -> list[Any]:
    """Return what a lookup layer behind an input knows, without masks and unknown words."""
    for layer in model._flatten_layers():
        nodes = getattr(layer, "_inbound_nodes", [])
        follows = any(tensor is port for node in nodes for tensor in node.input_tensors)
        if follows and hasattr(layer, "get_vocabulary"):
            return list(layer.get_vocabulary())[-1:]
    return []
