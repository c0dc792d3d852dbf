"""Model checks: requirements of a model before it is trained."""

from __future__ import annotations

import inspect
import random
import threading
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from glasses_spark.errors import TrainingError
from glasses_spark.runtime.elephas import ModelType
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.keras_archive import pack_model, unpack_model
from glasses_spark.scoring.prediction_kind import NUMBERS
from glasses_spark.training.keras_objects import KerasObject, differing_attributes
from glasses_spark.training.model_spec import ModelSpec
from glasses_spark.training.optimizers import first_line
from glasses_spark.training.output_kind import output_kind
from glasses_spark.training.weights import exchanged_variables

# Methods of a Keras model that Keras' own fit, evaluate and predict call.
_STEPS: Final = (
    *("train_step", "test_step", "predict_step"),
    *("make_train_function", "make_test_function", "make_predict_function"),
)

_seeding = threading.Lock()


def build_seeded(spec: ModelSpec, seed: int) -> Any:
    """Build a model, and seed its initializers that have no seed of their own."""
    # Keras draws their seeds from Python's global generator, which user code and fits in
    # other threads use as well.
    with _seeding:
        state = random.getstate()
        random.seed(seed)
        try:
            return spec.build()
        finally:
            random.setstate(state)


def require_mean_loss(loss: Any) -> None:
    """Refuse a loss that is not a mean over the rows of a batch.

    The server averages the workers' updates by their rows, which is correct for means
    only.
    """
    if isinstance(loss, KerasObject):
        loss = loss.build()
    config = loss.get("config") if isinstance(loss, Mapping) else None
    reduction = (
        config.get("reduction") if isinstance(config, Mapping) else getattr(loss, "reduction", None)
    )
    if reduction not in (None, "sum_over_batch_size", "mean"):
        raise TrainingError(
            f"loss: expected the reduction 'sum_over_batch_size', got {reduction!r}, which "
            "depends on the number of rows in a worker's batch"
        )


def require_supported_model(model: Any) -> None:
    """Refuse a model that the workers would not train as Keras does.

    Raises:
        TrainingError: It has no input shape, has several inputs or outputs, or its class
            replaces a step of Keras' training.
    """
    kind = type(model)
    replaced = [name for name in _STEPS if getattr(kind, name) is not getattr(_keras_model(), name)]
    if replaced:
        raise TrainingError(
            f"model {kind.__name__} has its own {', '.join(replaced)}, which workers do not call: "
            "they compute gradients with compute_loss. Override compute_loss or add_loss instead, "
            "or train with keras.Model.fit"
        )
    if not model.built or not getattr(model, "inputs", None):
        raise TrainingError(
            "expected a model with an input shape, got one without; begin it with "
            "keras.Input(shape), and build it as keras.Sequential or keras.Model(inputs, outputs)"
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise TrainingError(
            f"expected a model with one input and one output, got {len(model.inputs)} and "
            f"{len(model.outputs)}"
        )


def pack_exactly(model: Any, custom_objects: Mapping[str, Any], *, safe_mode: bool) -> bytes:
    """Return a model as a ``.keras`` file, from which workers build exactly this model.

    Args:
        model: A built model.
        custom_objects: Classes and functions that it refers to.
        safe_mode: Whether to refuse a ``Lambda`` layer.

    Raises:
        TrainingError: Keras cannot save the model or build it again, or the rebuilt model
            has other settings, weights or predictions, or training changes a weight that
            the workers do not exchange.
    """
    try:
        archive = pack_model(model)
        rebuilt = unpack_model(archive, custom_objects, safe_mode=safe_mode)
    except Exception as error:
        raise TrainingError(
            f"Keras cannot save this model and build it again: {first_line(error)}. Give custom "
            "layers get_config, pass classes in custom_objects, and a model with a Lambda layer "
            "needs safe_mode=False"
        ) from error
    _require_equal(model, rebuilt)
    _require_exchanged_changes(rebuilt)
    return archive


def _require_equal(model: Any, rebuilt: Any) -> None:
    for layer, other in zip(model._flatten_layers(), rebuilt._flatten_layers(), strict=False):
        if lost := _lost_settings(layer, other):
            raise TrainingError(
                f"layer {layer.name} ({type(layer).__name__}) loses {', '.join(lost)} when Keras "
                "saves the model. Return all arguments of the constructor from get_config"
            )
    weights, others = model.get_weights(), rebuilt.get_weights()
    is_equal = len(weights) == len(others) and all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        for a, b in zip(weights, others, strict=True)
    )
    if not is_equal or not _predict_alike(model, rebuilt):
        raise TrainingError(
            "the model that Keras builds again from the saved one has other weights or "
            "predictions. Check build, save_own_variables and get_config of its own layers"
        )


def _lost_settings(layer: Any, rebuilt: Any) -> list[str]:
    """Return the arguments of a layer's constructor in which a rebuilt layer differs."""
    if type(layer) is not type(rebuilt):
        return ["its class"]
    arguments = inspect.signature(type(layer).__init__).parameters
    # Initializers have done their work, and draw a seed of their own each time.
    lasting = {name for name in arguments if not name.endswith("_initializer")}
    return sorted(differing_attributes(layer, rebuilt, only=lasting))


def _predict_alike(model: Any, rebuilt: Any) -> bool:
    inputs = _example(model)
    if inputs is None:
        return True
    first, second = (np.asarray(each(inputs, training=False)) for each in (model, rebuilt))
    return bool(np.allclose(first, second, rtol=1e-5, atol=1e-6, equal_nan=True))


def _require_exchanged_changes(model: Any) -> None:
    """Refuse a model whose layers change weights that the workers do not send back.

    Args:
        model: A model that is not used afterwards.
    """
    inputs = _example(model)
    if inputs is None:
        return
    _, statistics = exchanged_variables(model)
    exchanged = {id(variable) for variable in statistics}
    before = [variable.numpy() for variable in model.weights]
    model(inputs, training=True)
    for variable, array in zip(model.weights, before, strict=True):
        if id(variable) not in exchanged and not np.array_equal(variable.numpy(), array):
            raise TrainingError(
                f"the weight {variable.path} changes while the model computes its output in "
                "training, which workers do not send back: only gradients and floating-point "
                "statistics, such as those of BatchNormalization, are exchanged. Remove this layer"
            )


def _example(model: Any) -> Any:
    """Return a small batch for a model; None for inputs that are not numbers."""
    shape, dtype = model.inputs[0].shape[1:], str(model.inputs[0].dtype)
    if dtype == "string":
        return None
    sides = [side or 4 for side in shape]
    generator = np.random.default_rng(0)
    if "float" in dtype:
        return generator.uniform(0, 1, (2, *sides)).astype(dtype)
    return generator.integers(0, 2, (2, *sides)).astype(dtype)


def _keras_model() -> Any:
    return import_keras().Model


def model_type_of(model: Any, loss: Any) -> ModelType:
    """Return Elephas' type of a model, by its loss: regression or classification.

    `output_kind` decides: a model that predicts numbers is a regression.
    """
    is_regression = output_kind(model, loss).name == NUMBERS
    return ModelType.REGRESSION if is_regression else ModelType.CLASSIFICATION
