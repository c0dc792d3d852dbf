"""Predictor: a Keras model, built once in a process, that scores batch after batch."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from glasses_spark.errors import ScoringError
from glasses_spark.runtime.gpu import take_granted_gpu
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.workers import threads_of_this_process

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
        temperature: Number above 0 by which the built model's logits are divided.
    """

    digest: str
    config: str
    weights: Sequence[npt.NDArray[Any]]
    custom_objects: Mapping[str, Any] = field(default_factory=dict)
    temperature: float = 1.0

    def build(self) -> Any:
        """Build the Keras model; Keras is imported here.

        Raises:
            ScoringError: There is a temperature, and the model does not end in one
                sigmoid unit of a dense layer.
        """
        keras = import_keras()
        with keras.utils.custom_object_scope(dict(self.custom_objects)):
            model = keras.models.model_from_json(self.config)
        model.set_weights(list(self.weights))
        if self.temperature != 1.0:
            _divide_logits(model, self.temperature)
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
        take_granted_gpu()
        import_keras(threads=threads_of_this_process())
        _predictors[key] = Predictor(trained.build(), with_logits=with_logits)
        while len(_predictors) > MODELS_KEPT:
            _predictors.popitem(last=False)
    _predictors.move_to_end(key)
    return _predictors[key]


def _divide_logits(model: Any, temperature: float) -> None:
    """Divide the logits by a temperature, in the weights that make them.

    A logit is linear in kernel and bias of the last layer, so that this is the division
    itself, and holds wherever the Keras model goes, with nothing to remember.
    """
    import keras

    last = model.layers[-1]
    if not isinstance(last, keras.layers.Dense) or not _is_one_sigmoid(model):
        raise ScoringError(
            f"temperature: expected a model that ends in a dense layer of one sigmoid unit, got "
            f"{_ending(model)}. Leave it at 1"
        )
    last.set_weights([weight / temperature for weight in last.get_weights()])


def _drop_sigmoid(model: Any) -> None:
    """Make the model give logits: a probability of 1 in float32 has no logit any more."""
    import keras

    if not _is_one_sigmoid(model):
        raise ScoringError(
            "rawPredictionCol: logits are known for a model that ends in one sigmoid unit; "
            f"this one ends in {_ending(model)}. Leave it unset"
        )
    model.layers[-1].activation = keras.activations.linear


def _is_one_sigmoid(model: Any) -> bool:
    import keras

    activation = getattr(model.layers[-1], "activation", None)
    return activation is keras.activations.sigmoid and model.output_shape[1:] == (1,)


def _ending(model: Any) -> str:
    last = model.layers[-1]
    name = getattr(getattr(last, "activation", None), "__name__", type(last).__name__)
    return f"{name} with the shape {model.output_shape}"
