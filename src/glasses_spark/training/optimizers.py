"""Optimizers: copies of Keras optimizers with all their settings and state."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType, MethodType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from glasses_spark.errors import TrainingError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.weights import Vector, WeightLayout

# Attributes that belong to one optimizer and its variables, not to its settings.
_BOOKKEEPING: Final = frozenset(
    [
        *("_distribution_strategy", "_iterations", "_learning_rate", "_lock", "_tracked"),
        *("_tracker", "_trainable_variables", "_trainable_variables_indices", "_variables"),
        *("built", "name"),
    ]
)
_BOOKKEEPING_PREFIXES: Final = ("_exclude_from_weight_decay", "_self_", "_tf_")

_PLAIN: Final = (
    *(bool, int, float, complex, str, bytes, type, type(None), np.ndarray, np.generic),
    *(re.Pattern, FunctionType, MethodType),
)

# The rate of a copy until it gets the schedule or function of the original.
_ANY_RATE: Final = 0.001


@dataclass(frozen=True)
class OptimizerState:
    """What an optimizer holds beside its config.

    Attributes:
        undecayed: Positions of the weights that are excluded from weight decay.
        variables: Values of the variables other than learning rates, in Keras' order; empty
            for an optimizer that was never used.
    """

    undecayed: tuple[int, ...] = ()
    variables: tuple[npt.NDArray[Any], ...] = ()

    @classmethod
    def of(cls, optimizer: Any, weights: Sequence[Any]) -> OptimizerState:
        """Return the state of an optimizer.

        Args:
            optimizer: A Keras optimizer.
            weights: The trainable variables of its model.

        Raises:
            TrainingError: The optimizer has updated another model's weights.
        """
        if not optimizer.built:
            return cls(undecayed=_undecayed(optimizer, weights))
        known = [optimizer._var_key(variable) for variable in optimizer._trainable_variables]
        if known != [optimizer._var_key(variable) for variable in weights]:
            raise TrainingError(
                f"optimizer {name_of(optimizer)}: expected an optimizer of the model's trainable "
                "weights, got one that has updated others. Compile the model with a new optimizer"
            )
        values = tuple(variable.numpy() for variable in state_variables(optimizer))
        return cls(undecayed=_undecayed(optimizer, weights), variables=values)

    def restore(self, optimizer: Any, weights: Sequence[Any]) -> None:
        """Give this state to a new optimizer.

        Args:
            optimizer: A Keras optimizer of the same settings.
            weights: The trainable variables of its model.

        Raises:
            TrainingError: The optimizer has other variables.
        """
        if self.undecayed:
            (leaf,) = leaf_optimizers(optimizer)
            leaf.exclude_from_weight_decay(var_list=[weights[i] for i in self.undecayed])
        if not self.variables:
            return
        if not optimizer.built:
            optimizer.build(list(weights))
        targets = state_variables(optimizer)
        if [tuple(v.shape) for v in targets] != [array.shape for array in self.variables]:
            raise TrainingError(
                f"optimizer {name_of(optimizer)}: the variables that it was saved with differ from "
                "those that it creates. Compile the model with a new optimizer"
            )
        for target, array in zip(targets, self.variables, strict=True):
            target.assign(array)


def name_of(optimizer: Any) -> str:
    """Return the name of an optimizer's class."""
    return type(optimizer).__name__


def optimizer_of(identifier: Any) -> Any:
    """Return a Keras optimizer by its name or serialized form.

    Raises:
        TrainingError: Keras has none of that name, or cannot build it.
    """
    keras = import_keras().optimizers
    kinds: dict[str, Any] = {
        name.lower(): kind for name, kind in vars(keras).items() if isinstance(kind, type)
    }
    is_serialized = isinstance(identifier, Mapping)
    name = str(identifier.get("class_name") if is_serialized else identifier)
    # By class, because keras.optimizers.get of Keras 3.15 does not know Lamb.
    kind = kinds.get(name.lower())
    try:
        if isinstance(identifier, str) and kind is not None:
            # With a name of its own for each, TensorFlow would keep more kernels for each.
            return kind(name=name.lower())
        if is_serialized and kind is not None and not identifier.get("registered_name"):
            return kind.from_config(copy.deepcopy(dict(identifier["config"])))
        return keras.get(copy.deepcopy(identifier) if is_serialized else identifier)
    except (KeyError, TypeError, ValueError) as error:
        raise TrainingError(
            f"optimizer {name}: Keras cannot build it: {first_line(error)}. Use a name in "
            "keras.optimizers, and pass a class of your own in custom_objects"
        ) from error


def excludes_weights(optimizer: Any) -> bool:
    """Return whether ``exclude_from_weight_decay`` was called."""
    names = ("_exclude_from_weight_decay", "_exclude_from_weight_decay_pattern")
    return any(getattr(optimizer, name, None) for name in names)


def leaf_optimizers(optimizer: Any) -> list[Any]:
    """Return the optimizers that update weights: the optimizer itself, or those it wraps."""
    keras = import_keras().optimizers
    if isinstance(optimizer, keras.LossScaleOptimizer):
        return leaf_optimizers(optimizer.inner_optimizer)
    if isinstance(optimizer, keras.MultiOptimizer):
        return list(optimizer.optimizers)
    return [optimizer]


def rate_variable(optimizer: Any) -> Any:
    """Return the variable with the learning rate.

    Returns:
        None for a schedule, a function, or several optimizers with rates of their own.
    """
    leaves = leaf_optimizers(optimizer)
    rate = leaves[0]._learning_rate if len(leaves) == 1 else None
    return rate if isinstance(rate, import_keras().Variable) else None


def state_variables(optimizer: Any) -> list[Any]:
    """Return the variables of an optimizer other than learning rates, in Keras' order."""
    optimizers = [optimizer, *leaf_optimizers(optimizer)]
    rates = {id(getattr(each, "_learning_rate", None)) for each in optimizers}
    return [variable for variable in optimizer.variables if id(variable) not in rates]


def blank_copy(optimizer: Any) -> Any:
    """Return a new optimizer with the same settings and no state.

    It has the attributes that ``get_config`` leaves out as well, except the weights
    excluded from weight decay, which `OptimizerState` holds.

    Raises:
        TrainingError: The optimizer cannot be built from its config, or has an attribute
            that is no setting.
    """
    keras = import_keras().optimizers
    if isinstance(optimizer, keras.LossScaleOptimizer):
        return type(optimizer)(
            blank_copy(optimizer.inner_optimizer),
            initial_scale=optimizer.initial_scale,
            dynamic_growth_steps=optimizer.dynamic_growth_steps,
            name=optimizer.name,
        )
    if isinstance(optimizer, keras.MultiOptimizer):
        return _copy_of_several(optimizer)
    try:
        blank = _rebuilt(optimizer)
    except Exception as error:
        raise TrainingError(
            f"optimizer {name_of(optimizer)} cannot be built from its get_config(): "
            f"{first_line(error)}. Return all arguments of the constructor from get_config"
        ) from error
    if callable(optimizer._learning_rate):
        blank.learning_rate = optimizer._learning_rate
    _copy_attributes(optimizer, blank)
    return blank


def _rebuilt(optimizer: Any) -> Any:
    """Return an optimizer built from the config, with any rate for a schedule or a function."""
    config = copy.deepcopy(optimizer.get_config())
    # They have no state. Keras could not rebuild those of the user's.
    if callable(optimizer._learning_rate):
        config["learning_rate"] = _ANY_RATE
    return type(optimizer).from_config(config)


def require_number_or_schedule(optimizer: Any) -> None:
    """Refuse a learning rate that is a function.

    Raises:
        TrainingError: It is neither a number nor a schedule of Keras.
    """
    keras = import_keras()
    kinds = (keras.Variable, keras.optimizers.schedules.LearningRateSchedule)
    for leaf in leaf_optimizers(optimizer):
        if not isinstance(leaf._learning_rate, kinds):
            raise TrainingError(
                f"optimizer {name_of(leaf)}: its learning rate is a function, which workers cannot "
                "rebuild. Use a keras.optimizers.schedules.LearningRateSchedule"
            )


def require_complete_config(optimizer: Any) -> None:
    """Refuse an optimizer whose ``get_config`` leaves out a setting, which workers would lose.

    Raises:
        TrainingError: One of its attributes differs in an optimizer built from the config.
    """
    for leaf in leaf_optimizers(optimizer):
        rebuilt = vars(_rebuilt(leaf))
        settings = {name: value for name, value in vars(leaf).items() if _is_setting(name, value)}
        absent = object()
        lost = [
            name
            for name, value in settings.items()
            if not _are_equal(value, rebuilt.get(name, absent))
        ]
        if lost:
            raise TrainingError(
                f"optimizer {name_of(leaf)}: its get_config leaves out {', '.join(lost)}. Return "
                "all arguments of the constructor from it"
            )


def _copy_of_several(optimizer: Any) -> Any:
    keras = import_keras().optimizers
    mapping = optimizer._optimizer_map
    if not isinstance(mapping, keras.OptimizerMap):
        raise TrainingError(
            f"optimizer {name_of(optimizer)}: expected a keras.optimizers.OptimizerMap, got a "
            "function, of which workers cannot make a copy. Use an OptimizerMap"
        )
    # One copy of an optimizer that several patterns share.
    copies = {id(each): blank_copy(each) for each in (mapping.default_optimizer, *mapping.values())}
    return type(optimizer)(
        keras.OptimizerMap(
            copies[id(mapping.default_optimizer)],
            {pattern: copies[id(each)] for pattern, each in mapping.items()},
        ),
        loss_scale_factor=optimizer.loss_scale_factor,
        name=optimizer.name,
    )


def _copy_attributes(optimizer: Any, blank: Any) -> None:
    for name, value in vars(optimizer).items():
        if _is_setting(name, value):
            # Not by setattr, with which Keras would wrap lists and dictionaries.
            vars(blank)[name] = value
        elif not (_is_bookkeeping(name) or name in vars(blank) or _is_slot(value)):
            raise TrainingError(
                f"optimizer {name_of(optimizer)}: its attribute {name!r} ({type(value).__name__}) "
                "is neither in get_config nor a plain value. Create it in the constructor"
            )


def first_line(error: Exception) -> str:
    """Return the first line of an error's message; its class if it has none."""
    return str(error).strip().split("\n")[0] or type(error).__name__


def _is_bookkeeping(name: str) -> bool:
    return name in _BOOKKEEPING or name.startswith(_BOOKKEEPING_PREFIXES)


def _is_setting(name: str, value: Any) -> bool:
    return not _is_bookkeeping(name) and _is_plain(value)


def _are_equal(value: Any, other: Any) -> bool:
    return value is other or (type(value) is type(other) and bool(np.all(value == other)))


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_plain(item) for pair in value.items() for item in pair)
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(_is_plain(item) for item in value)
    return isinstance(value, _PLAIN)


def _is_slot(value: Any) -> bool:
    """Return whether a value is state that ``build`` creates."""
    if isinstance(value, (list, tuple)):
        return all(item is None or _is_slot(item) for item in value)
    return isinstance(value, import_keras().Variable)


def _undecayed(optimizer: Any, weights: Sequence[Any]) -> tuple[int, ...]:
    leaves = leaf_optimizers(optimizer)
    if not any(map(excludes_weights, leaves)):
        return ()
    if len(leaves) > 1:
        raise TrainingError(
            f"optimizer {name_of(optimizer)}: workers cannot use exclude_from_weight_decay of one "
            "of its optimizers. Map the weights to an optimizer without weight_decay"
        )
    (leaf,) = leaves
    # Keras matches names of TensorFlow's variables, Muon those of Keras' own.
    base = import_keras().optimizers.Optimizer
    of_tensorflow = type(leaf)._apply_weight_decay is base._apply_weight_decay
    return tuple(
        index
        for index, variable in enumerate(weights)
        if not leaf._use_weight_decay(variable.value if of_tensorflow else variable)
    )


def pack(arrays: Sequence[npt.NDArray[Any]], layout: WeightLayout) -> list[Vector]:
    """Return arrays of any types as vectors ``(size,)`` that the parameter server accepts.

    The vectors have the bytes of the arrays, one after the other.
    """
    data = b"".join(array.tobytes() for array in arrays)
    data += bytes(-len(data) % layout.nbytes)
    return list(np.frombuffer(data, layout.dtype).reshape(-1, layout.size))


def unpack(vectors: Sequence[Vector], variables: Sequence[Any]) -> list[npt.NDArray[Any]]:
    """Return the arrays of `pack`, with the types and shapes of variables."""
    data, arrays, start = b"".join(vector.tobytes() for vector in vectors), [], 0
    for shape, dtype in ((tuple(v.shape), np.dtype(str(v.dtype))) for v in variables):
        size = int(np.prod(shape))
        arrays.append(np.frombuffer(data, dtype, count=size, offset=start).reshape(shape))
        start += size * dtype.itemsize
    return arrays
