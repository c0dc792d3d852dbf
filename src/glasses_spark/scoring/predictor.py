"""Predictor: a Keras model, built once per process, that scores batches of rows."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from glasses_spark.errors import ScoringError
from glasses_spark.runtime.gpu import take_granted_gpu
from glasses_spark.runtime.keras import build_from_config, import_keras
from glasses_spark.runtime.keras_archive import set_weights, unpack_model
from glasses_spark.runtime.keras_settings import KerasDefaults
from glasses_spark.runtime.traced import Traced
from glasses_spark.runtime.workers import threads_of_this_process
from glasses_spark.scoring.compiled_predictor import CompiledModel, CompiledPredictor
from glasses_spark.scoring.features import STRING
from glasses_spark.scoring.model_input import model_inputs

# Python workers outlive Spark's tasks, so a process keeps the models it used last.
MODELS_KEPT: Final = 2
_predictors: OrderedDict[str, AnyPredictor] = OrderedDict()


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
        compiled: How another runtime computes the model; None for Keras.
        onnx: The model for that runtime, from ``Predictor.to_onnx``.
    """

    digest: str
    config: str
    weights: Sequence[npt.NDArray[Any]]
    archive: bytes | None = None
    safe_mode: bool = True
    custom_objects: Mapping[str, Any] = field(default_factory=dict)
    temperature: float = 1.0
    defaults: KerasDefaults | None = None
    compiled: CompiledModel | None = None
    onnx: bytes | None = None

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
        model: Built Keras model.
        with_logits: Whether to compute logits as well. The model must then end in
            one sigmoid unit, and the predictor changes the model's last activation.

    Attributes:
        shapes: Shape of each input, without the batch dimension.

    Raises:
        ScoringError: ``with_logits`` is true, and the model does not end in one
            sigmoid unit.
    """

    def __init__(self, model: Any, *, with_logits: bool) -> None:
        self._model = model
        self._with_logits = with_logits
        self.shapes = tuple(tuple(port.shape[1:]) for port in model.inputs)
        if with_logits:
            _drop_sigmoid(model)
        self._functions: dict[tuple[str, ...], Traced] = {}

    def predict(
        self, *features: npt.NDArray[Any]
    ) -> tuple[tuple[npt.NDArray[np.float64], ...], npt.NDArray[np.float64]]:
        """Score rows.

        Args:
            features: For each input grey pixels as uint8, numbers or strings,
                ``(rows, product of its shape)``.

        Returns:
            The predictions of each output, ``(rows, outputs)``, and the logits of the first
            one. Without ``with_logits`` these equal its predictions.
        """
        function = self._function(
            tuple(STRING if v.dtype.kind in "OSU" else str(v.dtype) for v in features)
        )
        predictions, logits = function(*(np.ascontiguousarray(values) for values in features))
        outputs = tuple(output.numpy().astype(np.float64) for output in predictions)
        return outputs, logits.numpy().astype(np.float64)

    def to_onnx(self, dtypes: Sequence[str]) -> bytes:
        """Return the model in ONNX, for `CompiledPredictor`.

        Args:
            dtypes: NumPy type of the features of each input.

        Raises:
            Exception: See ``function_to_onnx``.
        """
        from glasses_spark.scoring.onnx_model import function_to_onnx

        names = [f"output_{position}" for position, _ in enumerate(self._model.outputs)]
        model = function_to_onnx(self._outputs, self._signature(dtypes), names)
        return bytes(model.SerializeToString())

    def _function(self, dtypes: tuple[str, ...]) -> Traced:
        """Return the model for types of features, traced once for batches of any length."""
        if dtypes not in self._functions:
            self._functions[dtypes] = Traced(self._score, self._signature(dtypes))
        return self._functions[dtypes]

    def _signature(self, dtypes: Sequence[str]) -> list[Any]:
        import tensorflow as tf

        return [
            tf.TensorSpec((None, prod(shape)), dtype, name=f"features_{position}")
            for position, (shape, dtype) in enumerate(zip(self.shapes, dtypes, strict=True))
        ]

    def _score(self, *features: Any) -> tuple[list[Any], Any]:
        import tensorflow as tf

        flat = self._outputs(*features)
        return ([tf.sigmoid(flat[0])] if self._with_logits else flat), flat[0]

    def _outputs(self, *features: Any) -> list[Any]:
        """Return the outputs ``(rows, values)``, the logits in place of probabilities."""
        import keras
        import tensorflow as tf

        outputs = keras.tree.flatten(
            self._model(model_inputs(self._model, features), training=False)
        )
        return [
            tf.reshape(output, [-1, int(np.prod(port.shape[1:]))])
            for output, port in zip(outputs, self._model.outputs, strict=True)
        ]


AnyPredictor = Predictor | CompiledPredictor


def cached_predictor(trained: TrainedModel, *, with_logits: bool) -> AnyPredictor:
    """Return this process's predictor of a model; build it on first use.

    Args:
        trained: The model.
        with_logits: See `Predictor`.

    Raises:
        ScoringError: See `TrainedModel.build` and `Predictor`.
    """
    key = f"{trained.digest}/{with_logits}/{trained.defaults}"
    if trained.compiled is not None and trained.onnx is not None:
        if key not in _predictors:
            _keep(key, CompiledPredictor(trained.compiled, trained.onnx, with_logits=with_logits))
        return _kept(key)
    if key not in _predictors:
        take_granted_gpu()
        import_keras(threads=threads_of_this_process())
    if trained.defaults is not None:
        # Each time: this process may have scored with another model since.
        trained.defaults.apply()
    if key not in _predictors:
        _keep(key, Predictor(trained.build(), with_logits=with_logits))
    return _kept(key)


def _keep(key: str, predictor: AnyPredictor) -> None:
    _predictors[key] = predictor
    while len(_predictors) > MODELS_KEPT:
        _predictors.popitem(last=False)


def _kept(key: str) -> AnyPredictor:
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

    require_one_sigmoid(model)
    model.layers[-1].activation = keras.activations.linear


def require_one_sigmoid(model: Any) -> None:
    """Refuse ``rawPredictionCol`` for a model whose outputs come from no logit.

    Args:
        model: Built Keras model.

    Raises:
        ScoringError: The model does not end in one sigmoid unit.
    """
    if not _is_one_sigmoid(model):
        raise ScoringError(
            "rawPredictionCol needs a model that ends in one sigmoid unit, found "
            f"{_ending(model)}. Clear rawPredictionCol"
        )


def _is_one_sigmoid(model: Any) -> bool:
    import keras

    activation = getattr(model.layers[-1], "activation", None)
    is_one = len(model.outputs) == 1 and tuple(model.outputs[0].shape[1:]) == (1,)
    return activation is keras.activations.sigmoid and is_one


def _ending(model: Any) -> str:
    last = model.layers[-1]
    name = getattr(getattr(last, "activation", None), "__name__", type(last).__name__)
    return f"{name} with the shape {model.output_shape}"
