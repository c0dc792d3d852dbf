"""Prediction kind: what the numbers in a column of predictions mean.

`GlassesModel.transform` writes the kind to the metadata of its column, where the evaluation
reads it. Spark keeps these metadata in selections, joins, caches and Parquet files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pyspark.sql.types import StructField

# One probability of class 1, or one probability for each class.
PROBABILITIES: Final = "probabilities"
# The same before the sigmoid or the softmax.
LOGITS: Final = "logits"
# Numbers of a regression.
NUMBERS: Final = "numbers"
KINDS: Final = (PROBABILITIES, LOGITS, NUMBERS)

SIGMOID: Final = "sigmoid"
SOFTMAX: Final = "softmax"

_METADATA: Final = "glasses_spark"


@dataclass(frozen=True)
class PredictionKind:
    """Meaning and number of a model's outputs.

    Attributes:
        name: ``probabilities``, ``logits`` or ``numbers``; for outputs that cannot be
            evaluated a description of them; empty if unknown.
        size: Numbers in a prediction, at least 1; 0 if unknown.
    """

    name: str = ""
    size: int = 0

    def params(self) -> dict[str, Any]:
        """Return the Params of a `GlassesModel` with such predictions."""
        return {"prediction_kind": self.name, "prediction_size": self.size}

    def metadata(self) -> dict[str, Any]:
        """Return the metadata of a column with such predictions."""
        return {_METADATA: self.params()}

    @classmethod
    def of_column(cls, field: StructField) -> PredictionKind:
        """Read the kind from a column's metadata; unknown without them."""
        stored = (field.metadata or {}).get(_METADATA, {})
        return cls(stored.get("prediction_kind", ""), stored.get("prediction_size", 0))


def output_size(model: Any, output: int = 0) -> int:
    """Return how many numbers an output of a Keras model has for a row; 0 if it varies.

    Args:
        model: Built Keras model.
        output: Position of the output in ``model.outputs``.
    """
    shape = _output_shape(model, output)
    known = [size for size in shape if size is not None]
    return math.prod(known) if len(known) == len(shape) else 0


def describe_shape(model: Any, output: int = 0) -> str:
    """Return a description of outputs with a shape, such as an image; empty for a flat output."""
    shape = _output_shape(model, output)
    if len(shape) <= 1 or output_size(model, output) == 1:
        return ""
    return f"outputs of the shape {shape}"


def last_activation(model: Any, output: int = 0) -> str:
    """Return ``sigmoid`` or ``softmax`` if an output comes from it, else an empty text."""
    layer = _output_layer(model, output)
    if layer is None:
        return ""
    # Layers and operations such as `keras.layers.Softmax` and `keras.ops.sigmoid`.
    name = type(layer).__name__.lower()
    if name in (SIGMOID, SOFTMAX) and _is_keras(type(layer)):
        return name
    activation = getattr(layer, "activation", None)
    name = getattr(activation, "__name__", "")
    return name if name in (SIGMOID, SOFTMAX) and _is_keras(activation) else ""


def kind_without_loss(model: Any, output: int = 0, *, regression: bool) -> PredictionKind:
    """Return the kind of the predictions of an output whose loss is not known."""
    size = output_size(model, output)
    if regression:
        return PredictionKind(NUMBERS, size)
    if last_activation(model, output):
        return PredictionKind(describe_shape(model, output) or PROBABILITIES, size)
    return PredictionKind("outputs of an unknown loss", size)


def _output_shape(model: Any, output: int) -> tuple[int | None, ...]:
    return tuple(model.outputs[output].shape[1:])


def _output_layer(model: Any, output: int) -> Any:
    """Return the layer that gives an output, that of the inner model if models are nested."""
    outputs: Sequence[Any] = getattr(model, "outputs", None) or ()
    layer, inner = model.layers[-1] if model.layers else None, 0
    if output < len(outputs):
        # Layers are in the order of their creation; the history names the one of the output.
        layer, _, inner = getattr(outputs[output], "_keras_history", (layer, 0, 0))
    if hasattr(layer, "layers") and layer is not model:
        return _output_layer(layer, inner)
    return layer


def _is_keras(thing: Any) -> bool:
    return str(getattr(thing, "__module__", "")).startswith(("keras.", "tensorflow."))
