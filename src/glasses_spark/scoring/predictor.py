"""Predictor: a Keras model, built once per process, that scores batches of rows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from glasses_spark.errors import ScoringError
from glasses_spark.runtime.gpu import take_granted_gpu
from glasses_spark.runtime.keras import build_from_config, import_keras
from glasses_spark.runtime.keras_archive import set_weights, unpack_model
from glasses_spark.runtime.keras_settings import KerasDefaults
from glasses_spark.runtime.workers import threads_of_this_process
from glasses_spark.scoring.model_input import model_input

# Python workers outlive Spark's tasks, so a process keeps the models it used last.
MODELS_KEPT: Final = 2
_predictors: OrderedDict[str, Predictor] = OrderedDict()


@dataclass(frozen=True)
class TrainedModel:
    """A trained model in the form that Spark sends to the executors.

    Attributes:
        digest: Key of architecture, weights and temperature in the cache.
        config: The architecture, as returned by ``model.to_json()``.
        weights: The weights, as returned by ``model.get_weights()``; not used with an
            archive.
        archive: The model as a ``.keras`` file; None for a model that an earlier version or
            Elephas saved.
        safe_mode: Whether to refuse a ``Lambda`` layer in the archive.
        custom_objects: Classes and functions that the architecture refers to.
        temperature: Number above 0 by which the built model divides its logits.
        defaults: Settings of Keras in the driver; None for those of this process.
    """

    digest: str
    config: str
    weights: Sequence[npt.NDArray[Any]]
    archive: bytes | None = None
    safe_mode: bool = True
    custom_objects: Mapping[str, Any] = field(default_factory=dict)
    temperature: float = 1.0
    defaults: KerasDefaults | None = None

    def build(self) -> Any:
        """Build the Keras model; imports Keras.

        Raises:
            ScoringError: The temperature is not 1, and the model does not end in a
                dense layer of one sigmoid unit.
        """
        if self.archive is not None:
            model = unpack_model(self.archive, self.custom_objects, safe_mode=self.safe_mode)
        else:
            model = build_from_config(self.config, self.custom_objects)
            set_weights(model, self.weights)
        if self.temperature != 1.0:
            _divide_logits(model, self.temperature)
        return model


class Predictor:
    """Scores rows with a trained model.

    Args:
        model: Built Keras model with one input and one output.
        with_logits: Whether to compute logits as well. The model must then end in
            one sigmoid unit, and the predictor changes the model's last activation.

    Attributes:
        feature_size: Number of values in a row.

    Raises:
        ScoringError: ``with_logits`` is true, and the model does not end in one
            sigmoid unit.
    """

    def __init__(self, model: Any, *, with_logits: bool) -> None:
        import tensorflow as tf

        self._shape = model.input_shape[1:]
        self.feature_size = int(np.prod(self._shape))
        dtype = model.inputs[0].dtype
        if with_logits:
            _drop_sigmoid(model)

        def score(x: Any) -> tuple[Any, Any]:
            output = model(model_input(x, self._shape, dtype), training=False)
            output = tf.reshape(output, [-1, int(np.prod(model.output_shape[1:]))])
            return (tf.sigmoid(output), output) if with_logits else (output, output)

        self._score = score
        self._functions: dict[str, Any] = {}

    def _function(self, dtype: str) -> Any:
        """Return the model for a type of features, traced once for batches of any length."""
        import tensorflow as tf

        if dtype not in self._functions:
            signature = [tf.TensorSpec((None, self.feature_size), dtype)]
            self._functions[dtype] = tf.function(
                self._score, input_signature=signature, autograph=False
            )
        return self._functions[dtype]

    def predict(
        self, features: npt.NDArray[Any]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Score rows.

        Args:
            features: Grey pixels as uint8, or numbers, ``(rows, feature_size)``.

        Returns:
            The model's predictions and their logits, both ``(rows, outputs)``.
            Without ``with_logits`` the second array equals the first.

        Raises:
            ScoringError: The rows have another length than ``feature_size``.
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
    """Return this process's predictor of a model; build it on first use.

    Args:
        trained: The model.
        with_logits: See `Predictor`.

    Raises:
        ScoringError: See `TrainedModel.build` and `Predictor`.
    """
    key = f"{trained.digest}/{with_logits}/{trained.defaults}"
    if key not in _predictors:
        take_granted_gpu()
        import_keras(threads=threads_of_this_process())
    if trained.defaults is not None:
        # Each time: this process may have scored with another model since.
        trained.defaults.apply()
    if key not in _predictors:
        _predictors[key] = Predictor(trained.build(), with_logits=with_logits)
        while len(_predictors) > MODELS_KEPT:
            _predictors.popitem(last=False)
    _predictors.move_to_end(key)
    return _predictors[key]


def _divide_logits(model: Any, temperature: float) -> None:
    """Divide the logits by a temperature, in the weights of the last layer.

    A logit is linear in kernel and bias of the last layer. With the division in the
    weights, an exported Keras model includes the temperature.
    """
    import keras

    last = model.layers[-1]
    if not isinstance(last, keras.layers.Dense) or not _is_one_sigmoid(model):
        raise ScoringError(
            f"temperature={temperature} needs a model that ends in a dense layer of one sigmoid "
            f"unit, found {_ending(model)}. Set temperature to 1"
        )
    last.set_weights([weight / temperature for weight in last.get_weights()])


def _drop_sigmoid(model: Any) -> None:
    """Make the model return logits, because a probability rounded to 1 has no finite logit."""
    import keras

    if not _is_one_sigmoid(model):
        raise ScoringError(
            "rawPredictionCol needs a model that ends in one sigmoid unit, found "
            f"{_ending(model)}. Clear rawPredictionCol"
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
