"""Predictor: a Keras model, built once in a process, that scores batch after batch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from glasses_spark.backend import import_keras
from glasses_spark.errors import ScoringError
from glasses_spark.executors import threads_of_this_process

# Python workers live on between Spark's tasks; so do the models built in them.
MODELS_KEPT: Final = 2
_predictors: OrderedDict[str, Predictor] = OrderedDict()


@dataclass(frozen=True)
class TrainedModel:
    """A trained model as it travels to the executors.

    Attributes:
        digest: Names the architecture and the weights, for the cache.
        config: The architecture, as ``model.to_json()`` gives it.
        weights: The weights, as ``model.get_weights()`` gives them.
        custom_objects: Classes and functions that the architecture names.
    """

    digest: str
    config: str
    weights: Sequence[npt.NDArray[Any]]
    custom_objects: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> Any:
        """Build the Keras model; Keras is imported here."""
        keras = import_keras()
        with keras.utils.custom_object_scope(dict(self.custom_objects)):
            model = keras.models.model_from_json(self.config)
        model.set_weights(list(self.weights))
        return model


class Predictor:
    """Scores rows with a trained model.

    Args:
        model: Built Keras model of one input and one output.
        with_logits: Whether logits are wanted beside the probabilities. The
            model must then end in one sigmoid unit.

    Raises:
        ScoringError: Logits are wanted, and the model ends otherwise.
    """

    def __init__(self, model: Any, *, with_logits: bool) -> None:
        import tensorflow as tf

        self._shape = model.input_shape[1:]
        self.feature_size = int(np.prod(self._shape))
        dtype = model.inputs[0].dtype
        if with_logits:
            _drop_sigmoid(model)

        def score(x: Any) -> tuple[Any, Any]:
            # A model of whole numbers takes pixels as they are.
            scaled = x.dtype == tf.uint8 and "float" in dtype
            x = tf.reshape(tf.cast(x, dtype), [-1, *self._shape])
            out = model(x / tf.cast(255, dtype) if scaled else x, training=False)
            out = tf.reshape(out, [-1, int(np.prod(model.output_shape[1:]))])
            return (tf.sigmoid(out), out) if with_logits else (out, out)

        self._traced = score
        self._functions: dict[str, Any] = {}

    def _function(self, dtype: str) -> Any:
        """The model for features of a type, traced once for batches of any length."""
        import tensorflow as tf

        if dtype not in self._functions:
            signature = [tf.TensorSpec((None, self.feature_size), dtype)]
            self._functions[dtype] = tf.function(
                self._traced, input_signature=signature, autograph=False
            )
        return self._functions[dtype]

    def predict(
        self, features: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Score rows.

        Args:
            features: ``(rows, feature_size)``: grey pixels as uint8, or numbers.

        Returns:
            What the model gives, ``(rows, outputs)``, and the logits of it,
            ``(rows, outputs)``, where they are wanted.
        """
        if features.ndim != 2 or features.shape[1] != self.feature_size:
            raise ScoringError(
                f"features: expected {self.feature_size} numbers in every row, for an input of "
                f"{' x '.join(map(str, self._shape))}, got {features.shape[-1]}"
            )
        function = self._function(str(features.dtype))
        predictions, logits = function(np.ascontiguousarray(features))
        return predictions.numpy().astype(np.float64), logits.numpy().astype(np.float64)


def cached_predictor(trained: TrainedModel, *, with_logits: bool) -> Predictor:
    """The predictor of a model in this process, built on its first use.

    Args:
        trained: The model.
        with_logits: See `Predictor`.
    """
    key = f"{trained.digest}/{with_logits}"
    if key not in _predictors:
        import_keras(threads=threads_of_this_process())
        _predictors[key] = Predictor(trained.build(), with_logits=with_logits)
        while len(_predictors) > MODELS_KEPT:
            _predictors.popitem(last=False)
    _predictors.move_to_end(key)
    return _predictors[key]


def _drop_sigmoid(model: Any) -> None:
    """Make the model give logits: a probability of 1 in float32 has no logit any more."""
    import keras

    last = model.layers[-1]
    activation = getattr(last, "activation", None)
    if activation is not keras.activations.sigmoid or model.output_shape[1:] != (1,):
        name = getattr(activation, "__name__", type(last).__name__)
        raise ScoringError(
            "rawPredictionCol: logits are known for a model that ends in one sigmoid unit; "
            f"this one ends in {name} with the shape {model.output_shape}. Leave it unset"
        )
    last.activation = keras.activations.linear
