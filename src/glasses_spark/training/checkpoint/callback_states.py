"""Callback states: what Keras callbacks remember between epochs, such as the best loss so far.

Keras callbacks have no method for their state. They keep it in attributes: numbers, texts,
lists of them, and arrays, such as the best weights of ``EarlyStopping``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from glasses_spark.errors import TrainingError
from glasses_spark.runtime.causes import describe

Arrays = dict[str, npt.NDArray[Any]]

# Attributes that Keras sets anew in each fit.
_OF_THE_FIT: Final = frozenset(["_model", "model", "params"])

_ARRAY: Final = "array"
_ARRAYS: Final = "arrays"
_VALUE: Final = "value"


def read_states(callbacks: Sequence[Any]) -> tuple[list[dict[str, Any]], Arrays]:
    """Return the states of callbacks.

    Returns:
        A description for each callback, as JSON has it, and the arrays that it refers to by
        name. Attributes that are neither plain values nor arrays, such as open files, are
        left out.
    """
    states, arrays = [], Arrays()
    for number, callback in enumerate(callbacks):
        attributes: dict[str, dict[str, Any]] = {}
        for name, value in vars(callback).items():
            if name in _OF_THE_FIT:
                continue
            prefix = f"callback-{number}-{name}"
            if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
                arrays[prefix] = value
                attributes[name] = {_ARRAY: prefix}
            elif _are_arrays(value):
                names = [f"{prefix}-{index}" for index in range(len(value))]
                arrays.update(zip(names, map(np.asarray, value), strict=True))
                attributes[name] = {_ARRAYS: names}
            elif _is_plain(plain := _python_value(value)):
                attributes[name] = {_VALUE: plain}
        states.append(
            {
                "class": _class_name(callback),
                "compares": getattr(callback, "monitor_op", None) is not None,
                "attributes": attributes,
            }
        )
    return states, arrays


def restore_states(
    callbacks: Sequence[Any], states: Sequence[Mapping[str, Any]], arrays: Mapping[str, Any]
) -> None:
    """Give callbacks the states that `read_states` returned for callbacks of the same classes.

    Called after ``on_train_begin``, in which callbacks forget.

    Raises:
        TrainingError: The callbacks are of other classes, or in another order, or the states
            are not those of callbacks.
    """
    try:
        _restore(callbacks, states, arrays)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"the checkpoint has no legal states of callbacks: {describe(error)}. Delete it"
        ) from error


def _restore(
    callbacks: Sequence[Any], states: Sequence[Mapping[str, Any]], arrays: Mapping[str, Any]
) -> None:
    expected = [str(state["class"]) for state in states]
    found = [_class_name(callback) for callback in callbacks]
    if expected != found:
        raise TrainingError(
            f"the checkpoint is of a fit with the callbacks {', '.join(expected) or 'none'}, got "
            f"{', '.join(found) or 'none'}. Use the same callbacks, or delete the checkpoint"
        )
    for callback, state in zip(callbacks, states, strict=True):
        # Keras chooses how to compare at the end of the first epoch, and turns the sign of
        # `min_delta` with it.
        if state.get("compares") and getattr(callback, "monitor_op", "none here") is None:
            callback._set_monitor_op()
        for name, described in state["attributes"].items():
            # Only what the callback has itself: a file can add no attribute.
            if name in vars(callback) and name not in _OF_THE_FIT:
                vars(callback)[name] = _restored(described, arrays)


def _restored(described: Mapping[str, Any], arrays: Mapping[str, Any]) -> Any:
    if _ARRAY in described:
        return np.array(arrays[described[_ARRAY]])
    if _ARRAYS in described:
        return [np.array(arrays[name]) for name in described[_ARRAYS]]
    return described[_VALUE]


def _are_arrays(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(item, np.ndarray) and item.dtype.kind in "biuf" for item in value)
    )


def _python_value(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _is_plain(value: Any) -> bool:
    try:
        # Equal again: JSON would turn a tuple into a list, and the keys of a mapping into text.
        return bool(json.loads(json.dumps(value)) == value or value != value)
    except (TypeError, ValueError, RecursionError):
        return False


def _class_name(callback: Any) -> str:
    kind = type(callback)
    return f"{kind.__module__}.{kind.__qualname__}"
