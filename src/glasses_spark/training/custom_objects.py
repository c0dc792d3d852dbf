"""Custom objects: the classes and functions of the user that a Keras model refers to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from glasses_spark.runtime.keras import import_keras


def find_custom_objects(model: Any, others: Iterable[Any] = ()) -> dict[str, Any]:
    """Return the user's classes and functions by the names that Keras writes for them.

    They travel to the workers with the model: classes of importable modules by their name,
    those of the driver's program and of functions with their code.

    Args:
        model: A built Keras model.
        others: Losses, metrics and optimizers, also by name; nested lists and dictionaries.
    """
    keras = import_keras()
    found: dict[str, Any] = {}
    for value in (*_parts(model), *_leaves(others)):
        kind = value if _is_function(value) else type(value)
        if _is_of_user(kind):
            for name in (kind.__name__, keras.saving.get_registered_name(kind)):
                found.setdefault(name, kind)
    return found


def _parts(model: Any) -> Iterator[Any]:
    """Yield the layers of a model, and the functions and objects in their attributes."""
    for layer in model._flatten_layers():
        yield layer
        yield from _leaves(value for name, value in vars(layer).items() if name != "_layers")


def _leaves(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, Mapping):
            yield from _leaves(value.values())
        elif isinstance(value, (list, tuple)):
            yield from _leaves(value)
        elif _is_function(value) or _is_keras_object(value):
            yield value


def _is_function(value: Any) -> bool:
    return callable(value) and hasattr(value, "__code__") and not hasattr(value, "__self__")


def _is_keras_object(value: Any) -> bool:
    keras = import_keras()
    kinds = (
        keras.layers.Layer,
        keras.losses.Loss,
        keras.metrics.Metric,
        keras.optimizers.Optimizer,
        keras.optimizers.schedules.LearningRateSchedule,
        keras.initializers.Initializer,
        keras.regularizers.Regularizer,
        keras.constraints.Constraint,
        keras.dtype_policies.DTypePolicy,
    )
    return isinstance(value, kinds)


def _is_of_user(kind: Any) -> bool:
    module = str(getattr(kind, "__module__", "keras."))
    return module.split(".")[0] not in ("builtins", "keras", "tensorflow")
