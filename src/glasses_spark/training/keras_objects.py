"""Losses and metrics in a form from which workers build equal ones.

Keras serializes them by ``get_config``, which drops some arguments: in Keras 3.15 those of
``Huber(delta)``, ``CosineSimilarity(axis)`` and others, and those of a user's class that does
not define it. So each object is serialized and rebuilt in the driver, and its attributes are
compared with the original's. What differs travels beside the serialized form, or the object is
refused.
"""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from types import FunctionType, MethodType
from typing import Any, Final

import numpy as np
from pyspark.serializers import CloudPickleSerializer

from glasses_spark.errors import ConfigError
from glasses_spark.runtime.keras import import_keras

# Attributes that differ between equal objects: locks, caches and lists of variables.
_BOOKKEEPING: Final = frozenset(
    [
        *("_auto_config", "_lock", "_metrics", "_tracker", "_variables"),
        *("_built", "built", "_trainable_variables"),
        *("_name", "name"),
    ]
)
# Prefix of TensorFlow's own attributes of objects that it can save.
_TENSORFLOW: Final = "_self_"


@dataclass(frozen=True)
class KerasObject:
    """A loss or metric that ``get_config`` does not describe completely.

    Attributes:
        kind: Its class; pickled with its code if the driver's program defines it.
        config: Result of ``get_config``; None if the class has no usable one.
        attributes: The attributes that a rebuilt object lacks or has with other values.
    """

    kind: type
    config: Mapping[str, Any] | None
    attributes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the class."""
        return self.kind.__name__

    def build(self) -> Any:
        """Return a new object."""
        kind: Any = self.kind
        if self.config is None:
            instance = object.__new__(kind)
        else:
            instance = kind.from_config(copy.deepcopy(dict(self.config)))
        # Not by setattr: Keras would track copies of lists and dictionaries.
        vars(instance).update(copy.deepcopy(dict(self.attributes)))
        return instance


def is_serialized(value: Any) -> bool:
    """Return whether a value is the serialized form of an object of Keras."""
    return isinstance(value, Mapping) and "class_name" in value


def leaves(value: Any) -> Iterator[Any]:
    """Yield the losses or metrics in lists and mappings of them."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    elif isinstance(value, Mapping) and not is_serialized(value):
        yield from leaves(list(value.values()))
    else:
        yield value


def portable(value: Any, what: str) -> Any:
    """Return a loss or metric in a form that workers rebuild exactly.

    Args:
        value: A Keras object, its name or its serialized form, a function, None, or a list or
            mapping of these.
        what: What the value is, for messages: ``loss`` or ``metrics``.

    Returns:
        The value; a Keras object as its serialized form, or as a `KerasObject` where that
        form is incomplete.

    Raises:
        ConfigError: An argument of the object would be lost.
    """
    if isinstance(value, (list, tuple)):
        return [portable(item, what) for item in value]
    if isinstance(value, Mapping) and not is_serialized(value):
        return {name: portable(item, what) for name, item in value.items()}
    keras = import_keras()
    kinds = (keras.losses.Loss, keras.metrics.Metric)
    if not isinstance(value, kinds):
        return value
    is_of_keras = type(value).__module__.startswith("keras.")
    rebuilt = _rebuilt(value)
    if rebuilt is not None:
        lost = differing_attributes(value, rebuilt)
        if not lost and is_of_keras:
            serialized = keras.saving.serialize_keras_object(value)
            if _is_readable(serialized):
                return serialized
        attributes = {name: _plain(vars(value).get(name)) for name in lost}
        description = KerasObject(type(value), _plain(value.get_config()), attributes)
    elif isinstance(value, keras.losses.Loss):
        # A loss has no variables: it is its attributes.
        lost = set(vars(value))
        description = KerasObject(type(value), None, _plain(vars(value)))
    else:
        raise ConfigError(
            f"{what}: {type(value).__name__} cannot be rebuilt from its get_config(). Define "
            "get_config and from_config so that they return all arguments of the constructor"
        )
    _require_equal(value, description, what, lost)
    return description


def _plain(value: Any) -> Any:
    """Return containers that Keras tracks as Python's own."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, set)):
        return (list if isinstance(value, list) else set)(map(_plain, value))
    return value


def _rebuilt(value: Any) -> Any:
    """Return an object built from the original's config; None if that is not possible."""
    try:
        return type(value).from_config(copy.deepcopy(value.get_config()))
    except Exception:  # code of the user, which may raise anything
        return None


def _is_readable(serialized: Mapping[str, Any]) -> bool:
    """Return whether Keras can read what it wrote: not so an AUC with ``label_weights``."""
    try:
        import_keras().saving.deserialize_keras_object(copy.deepcopy(dict(serialized)))
    except Exception:  # whatever Keras raises
        return False
    return True


def _require_equal(value: Any, description: KerasObject, what: str, lost: set[str]) -> None:
    advice = (
        f"{what}: {description.name} loses {', '.join(sorted(lost)) or 'its state'} on its way to "
        "the workers. Define get_config in a subclass so that it returns all arguments of the "
        "constructor"
    )
    try:
        rebuilt = pickle.loads(_pickled(description)).build()
    except Exception as error:
        raise ConfigError(f"{advice} ({type(error).__name__}: {error})") from error
    if differing_attributes(value, rebuilt):
        raise ConfigError(advice)


def _pickled(description: KerasObject) -> bytes:
    """Return what Spark sends."""
    pickled: bytes = CloudPickleSerializer().dumps(description)  # type: ignore[no-untyped-call]
    return pickled


def differing_attributes(live: Any, rebuilt: Any, only: Set[str] | None = None) -> set[str]:
    """Return the names of the attributes in which two objects of one class differ.

    Values of variables are not compared: they are state, not arguments. Neither are layers in
    attributes, which have arguments of their own.

    Args:
        live: The user's object.
        rebuilt: The object that a worker would have.
        only: Names to compare; all by default.
    """
    absent = object()
    lost = set()
    names = (vars(live).keys() | vars(rebuilt).keys()) - _BOOKKEEPING
    for name in names if only is None else names & only:
        if name.startswith(_TENSORFLOW):
            continue
        value, other = (vars(each).get(name, absent) for each in (live, rebuilt))
        if not _is_state(value) and not _are_equal(value, other, set()):
            lost.add(name)
    return lost


def _is_state(value: Any) -> bool:
    """Return whether an attribute holds variables, which an object that was not used lacks."""
    import keras

    if isinstance(value, (list, tuple)):
        return bool(value) and all(_is_state(item) or item is None for item in value)
    return isinstance(value, keras.Variable)


def _are_equal(a: Any, b: Any, compared: set[tuple[int, int]]) -> bool:
    import keras
    import tensorflow as tf

    if a is b or (id(a), id(b)) in compared:
        return True
    compared.add((id(a), id(b)))
    if isinstance(a, (int, float)) and isinstance(b, (int, float)):
        return a == b or (math.isnan(a) and math.isnan(b))
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(
            _are_equal(x, y, compared) for x, y in zip(a, b, strict=True)
        )
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_are_equal(a[key], b[key], compared) for key in a)
    if type(a) is not type(b):
        return False
    if isinstance(a, (np.ndarray, np.generic, tf.Tensor)):
        return bool(np.array_equal(np.asarray(a), np.asarray(b)))
    if isinstance(a, keras.Layer):
        return True
    if isinstance(a, (keras.Variable, tf.Variable)):
        return tuple(a.shape) == tuple(b.shape) and str(a.dtype) == str(b.dtype)
    if isinstance(a, MethodType):
        return a.__func__ is b.__func__
    if isinstance(a, FunctionType):
        return _are_equal_functions(a, b, compared)
    has_comparison = "__eq__" in {name for base in type(a).__mro__[:-1] for name in vars(base)}
    if hasattr(a, "__dict__") and not has_comparison:
        names = (vars(a).keys() | vars(b).keys()) - _BOOKKEEPING
        return vars(a).keys() == vars(b).keys() and all(
            _are_equal(vars(a)[name], vars(b)[name], compared) for name in names
        )
    # Objects without attributes and without a comparison, such as locks, have no arguments.
    return not has_comparison or bool(a == b)


def _are_equal_functions(a: FunctionType, b: FunctionType, compared: set[tuple[int, int]]) -> bool:
    def cells(function: FunctionType) -> list[Any]:
        return [cell.cell_contents for cell in function.__closure__ or ()]

    return (
        a.__code__ == b.__code__
        and _are_equal(a.__defaults__, b.__defaults__, compared)
        and _are_equal(cells(a), cells(b), compared)
    )
