"""Model checks: requirements of a model before it is trained."""

from __future__ import annotations

import inspect
import random
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from glasses_spark.errors import ConfigError, GlassesSparkError, TrainingError
from glasses_spark.runtime.causes import describe
from glasses_spark.runtime.elephas import ModelType
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.keras_archive import pack_model, set_weights, unpack_model
from glasses_spark.runtime.random_states import has_generator, random_states, set_random_states
from glasses_spark.scoring.model_ports import input_ports, output_names
from glasses_spark.scoring.prediction_kind import NUMBERS, PredictionKind
from glasses_spark.training.examples import example_inputs
from glasses_spark.training.keras_objects import KerasObject, differing_attributes, leaves
from glasses_spark.training.model_spec import ModelSpec
from glasses_spark.training.optimizers import first_line
from glasses_spark.training.weights import exchanged_variables

# Methods of a Keras model that Keras' own fit, evaluate and predict call.
_STEPS: Final = (
    *("train_step", "test_step", "predict_step"),
    *("make_train_function", "make_test_function", "make_predict_function"),
)

_seeding = threading.Lock()


def build_seeded(spec: ModelSpec, seed: int, *, initial_weights: Any = None) -> Any:
    """Build a model, and seed its initializers that have no seed of their own.

    Args:
        spec: Specification of the model.
        seed: The seed.
        initial_weights: Weights to start from, as returned by ``get_weights``; None for those
            of the initializers.

    Raises:
        TrainingError: Keras cannot build the model.
    """
    # Keras draws their seeds from Python's global generator, which user code and fits in
    # other threads use as well.
    with _seeding:
        state = random.getstate()
        random.seed(seed)
        try:
            model = spec.build()
            if initial_weights is not None:
                set_weights(model, initial_weights)
            return model
        except GlassesSparkError:
            raise
        except Exception as error:
            raise TrainingError(
                f"Keras cannot build the model: {describe(error)}. Check keras_model_config, "
                "initial_weights, loss and metrics, and name own classes in custom_objects"
            ) from error
        finally:
            random.setstate(state)


def require_mean_loss(loss: Any) -> None:
    """Refuse a loss that is not a mean over the rows of a batch.

    The server averages the updates of several workers by their rows, which is correct for
    means only.

    Args:
        loss: A loss, or a list or mapping of losses.
    """
    for part in leaves(loss):
        _require_mean(part)


def _require_mean(loss: Any) -> None:
    if isinstance(loss, KerasObject):
        loss = loss.build()
    config = loss.get("config") if isinstance(loss, Mapping) else None
    reduction = (
        config.get("reduction") if isinstance(config, Mapping) else getattr(loss, "reduction", None)
    )
    if reduction not in (None, "sum_over_batch_size", "mean"):
        raise TrainingError(
            f"loss: expected the reduction 'sum_over_batch_size', got {reduction!r}, which "
            "depends on the number of rows in a worker's batch. Use num_workers=1, or the mean"
        )


def require_supported_model(model: Any) -> None:
    """Refuse a model that the workers would not train as Keras does.

    Raises:
        ConfigError: It is not a Keras model.
        TrainingError: It has no input shape, an output that Keras does not name, inputs or
            outputs in nested structures, or its class replaces a step of Keras' training.
    """
    kind = type(model)
    if not isinstance(model, _keras_model()):
        name = f"the class {model.__name__}" if isinstance(model, type) else f"a {kind.__name__}"
        raise ConfigError(f"model: expected a Keras model, got {name}. Build a keras.Model first")
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
    for port in model.inputs:
        if None in port.shape[1:]:
            raise TrainingError(
                f"input {port.name!r}: expected a shape without open sides, got {port.shape[1:]}. "
                "Give keras.Input the length to which the rows are padded"
            )
    ports = len(model.inputs), len(model.outputs)
    if ports == (1, 1):
        return
    config = model.to_json()
    if ports != (len(input_ports(config)), len(output_names(config))) or _is_nested(model):
        raise TrainingError(
            f"the model has {ports[0]} inputs and {ports[1]} outputs, and not each has a name; "
            "build it as keras.Model(inputs, outputs) with tensors, or with lists or mappings of "
            "tensors"
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
    states = random_states(model)
    try:
        archive = pack_model(model)
        rebuilt = unpack_model(archive, custom_objects, safe_mode=safe_mode)
    except Exception as error:
        if safe_mode:
            _require_no_lambda(model)
        _require_buildable_layers(model)
        raise TrainingError(
            f"Keras cannot save this model and build it again: {first_line(error)}. Give custom "
            "layers get_config, and pass classes in custom_objects"
        ) from error
    _require_equal(model, rebuilt)
    _require_exchanged_changes(rebuilt)
    set_random_states(model, states)  # some layers have drawn numbers for the predictions
    return archive


def _require_no_lambda(model: Any) -> None:
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, import_keras().layers.Lambda):
            raise TrainingError(
                f"layer {layer.name} (Lambda): its code would run wherever the model is loaded. "
                "Use safe_mode=False to allow it, or a layer class"
            )


def _require_buildable_layers(model: Any) -> None:
    """Refuse a layer of Keras whose arguments Keras itself does not accept in the saved form."""
    keras = import_keras()
    for layer in model._flatten_layers(include_self=False):
        is_plain = not layer._layers and not isinstance(layer, keras.layers.Lambda)
        if is_plain and type(layer).__module__.startswith("keras."):
            try:
                type(layer)(**layer.get_config())
            except TypeError:
                continue  # an argument of an unknown class
            except ValueError as error:
                raise TrainingError(
                    f"layer {layer.name} ({type(layer).__name__}): Keras saves its arguments in a "
                    f"form from which it cannot build it again: {first_line(error)}. Give them in "
                    "another form, such as x_factor=(0.0, 0.3) for x_factor=0.3"
                ) from error


def _require_equal(model: Any, rebuilt: Any) -> None:
    pairs = list(zip(model._flatten_layers(), rebuilt._flatten_layers(), strict=False))
    for layer, other in pairs:
        if lost := _lost_settings(layer, other):
            is_of_keras = type(layer).__module__.startswith("keras.")
            raise TrainingError(
                f"layer {layer.name} ({type(layer).__name__}) loses {', '.join(lost)} when Keras "
                "saves the model. "
                + (
                    "Leave the default"
                    if is_of_keras
                    else "Return all arguments of the constructor from get_config"
                )
            )
    for layer, other in pairs:
        if not layer._layers and not _have_equal_weights(layer, other):
            raise TrainingError(
                f"layer {layer.name} ({type(layer).__name__}) has other weights in the model that "
                "Keras builds again from the saved one, as with lora_rank. Train it without, or "
                "check its build, save_own_variables and get_config"
            )
    if not _have_equal_weights(model, rebuilt) or not _predict_alike(model, rebuilt):
        raise TrainingError(
            "the model that Keras builds again from the saved one has other weights or "
            "predictions. Check build, save_own_variables and get_config of its own layers"
        )


def _have_equal_weights(layer: Any, rebuilt: Any) -> bool:
    weights, others = layer.get_weights(), rebuilt.get_weights()
    return len(weights) == len(others) and all(
        np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        for a, b in zip(weights, others, strict=True)
    )


def _lost_settings(layer: Any, rebuilt: Any) -> list[str]:
    """Return the arguments of a layer's constructor in which a rebuilt layer differs."""
    if type(layer) is not type(rebuilt):
        return ["its class"]
    arguments = inspect.signature(type(layer).__init__).parameters
    # Initializers have done their work, and draw a seed of their own each time.
    lasting = {name for name in arguments if not name.endswith("_initializer")}
    if has_generator(layer):
        lasting.discard("seed")  # the archive has the state of the generator
    return sorted(differing_attributes(layer, rebuilt, only=lasting))


def _is_nested(model: Any) -> bool:
    """Return whether a functional model has lists or mappings in its lists or mappings."""
    tree = import_keras().tree
    for structure in (model._inputs_struct, model._outputs_struct):
        parts = structure.values() if isinstance(structure, Mapping) else structure
        if tree.is_nested(structure) and any(tree.is_nested(part) for part in parts):
            return True
    return False


def _predict_alike(model: Any, rebuilt: Any) -> bool:
    inputs, flatten = example_inputs(model, rows=2), import_keras().tree.flatten
    outputs = [flatten(each(inputs, training=False)) for each in (model, rebuilt)]
    return all(
        np.allclose(np.asarray(a), np.asarray(b), rtol=1e-5, atol=1e-6, equal_nan=True)
        for a, b in zip(*outputs, strict=True)
    )


def _require_exchanged_changes(model: Any) -> None:
    """Refuse a model whose layers change weights that the workers do not send back.

    Args:
        model: A model that is not used afterwards.
    """
    inputs = example_inputs(model, rows=2)
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


def _keras_model() -> Any:
    return import_keras().Model


def model_type_of(kinds: Sequence[PredictionKind]) -> ModelType:
    """Return Elephas' type of a model: a regression if all its outputs are numbers."""
    is_regression = all(kind.name == NUMBERS for kind in kinds)
    return ModelType.REGRESSION if is_regression else ModelType.CLASSIFICATION
