"""Optimizer step: one update of the shared weights by a Keras optimizer."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from glasses_spark.errors import TrainingError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.traced import Traced
from glasses_spark.training.gradients import absent_gradients
from glasses_spark.training.one_replica import in_one_replica
from glasses_spark.training.optimizers import (
    OptimizerState,
    blank_copy,
    leaf_optimizers,
    name_of,
    rate_variable,
    state_variables,
)
from glasses_spark.training.weights import (
    Vector,
    WeightLayout,
    exchanged_variables,
)

logger = logging.getLogger(__name__)

# Optimizers that update each number from its own gradient and state alone. They can
# work on the whole model as one long vector, which saves hundreds of small operations
# per step.
ELEMENTWISE_OPTIMIZERS: Final = frozenset(
    [
        *("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam", "Ftrl"),
        *("Lion", "ScheduleFreeAdamW"),
    ]
)


class OptimizerStep:
    """One step of a copy of the model's optimizer, traced once.

    It has its own copies of the weights, because callbacks may read and write the
    model while updates arrive. It continues from the state of the model's optimizer.

    Args:
        model: Compiled Keras model.
        layout: Layout of its weights' vector.
        momentum: Whether the optimizer keeps its ``beta_1``.
        scaled: Whether a step may have a share of the learning rate below 1. If not, the
            step runs the optimizer exactly as Keras does.
    """

    def __init__(
        self, model: Any, layout: WeightLayout, *, momentum: bool = True, scaled: bool = False
    ) -> None:
        import tensorflow as tf

        trainable, _ = exchanged_variables(model)
        state = OptimizerState.of(model.optimizer, trainable)
        absent = absent_gradients(model)
        optimizer = blank_copy(model.optimizer)
        self._flat = (
            is_elementwise(optimizer)
            and not state.undecayed
            and not absent
            and all(_is_plain(variable, layout.dtype) for variable in trainable)
        )
        self._layout = replace(layout, statistics=())
        self._optimizer = optimizer
        self._variables = self._flat_copy(trainable) if self._flat else _copies(trainable)
        optimizer.build(self._variables)
        if self._flat:
            if state.variables:
                self._read_state(model.optimizer)
        else:
            state.restore(optimizer, self._variables)
        if not momentum:
            for leaf in leaf_optimizers(optimizer):
                _disable_momentum(leaf)
        shapes = [tuple(variable.shape) for variable in self._variables]
        sizes = [int(np.prod(shape)) for shape in shapes]

        def step(gradient: Any, share: Any) -> Any:
            gradients = [
                None if index in absent else tf.cast(tf.reshape(part, shape), variable.dtype)
                for index, (part, shape, variable) in enumerate(
                    zip(tf.split(gradient, sizes), shapes, self._variables, strict=True)
                )
            ]
            with _scaled_rates(optimizer, share if scaled else None), in_one_replica(optimizer):
                optimizer.apply(gradients, self._variables)
            return self._joined()

        signature = [
            tf.TensorSpec((layout.trainable_size,), layout.dtype),
            tf.TensorSpec((), import_keras().config.floatx()),
        ]
        self._step = Traced(step, signature)

    def __call__(self, gradient: Vector, share: float = 1.0) -> Vector:
        """Apply a gradient.

        Args:
            gradient: Gradient of the trainable weights, ``(trainable_size,)``.
            share: Factor of the learning rate, in (0, 1]; 1 unless the steps are scaled.

        Returns:
            The trainable weights after the step, ``(trainable_size,)``.
        """
        # A copy: the next step changes TensorFlow's own memory.
        return np.array(self._step(gradient, share))

    def trace(self) -> None:
        """Trace the step without running it, which raises the errors of the optimizer."""
        self._step.trace()

    def read(self) -> Vector:
        """Return a copy of the trainable weights, ``(trainable_size,)``."""
        return np.array(self._joined())

    def replace(self, trainable: Vector) -> None:
        """Set the trainable weights, ``(trainable_size,)``."""
        arrays = [trainable] if self._flat else self._layout.split(trainable)
        for variable, array in zip(self._variables, arrays, strict=True):
            variable.assign(array.reshape(variable.shape))

    def state(self) -> list[npt.NDArray[Any]]:
        """Return copies of the variables of the optimizer, in Keras' order."""
        return [np.array(variable) for variable in self._optimizer.variables]

    def restore(self, state: Sequence[npt.NDArray[Any]]) -> None:
        """Set the variables of the optimizer.

        Raises:
            TrainingError: They have other shapes, or there are more or fewer of them.
        """
        variables = self._optimizer.variables
        expected, found = ([tuple(each.shape) for each in some] for some in (variables, state))
        if expected != found:
            raise TrainingError(
                f"the checkpoint is of another optimizer than {name_of(self._optimizer)}: expected "
                f"variables of the shapes {expected}, got {found}. Delete the checkpoint, or use "
                "the optimizer that it belongs to"
            )
        for variable, array in zip(variables, state, strict=True):
            variable.assign(array)

    def set_learning_rate(self, value: float) -> None:
        """Set the learning rate, where it is one number and not a schedule."""
        rate = rate_variable(self._optimizer)
        if rate is not None:
            rate.assign(value)

    def write_state(self, model: Any) -> None:
        """Copy the optimizer's state to the model's optimizer, for further training."""
        target = model.optimizer
        if not target.built:
            target.build(exchanged_variables(model)[0])
        if not self._flat:
            sources = state_variables(self._optimizer)
            for variable, source in zip(state_variables(target), sources, strict=True):
                variable.assign(source)
            return
        scalars, slots = _state_by_name(target)
        for name, variable in scalars.items():
            variable.assign(getattr(self._optimizer, name))
        for name, variables in slots.items():
            (flat,) = getattr(self._optimizer, name)
            for variable, array in zip(variables, self._layout.split(flat.numpy()), strict=True):
                variable.assign(array)

    def _read_state(self, optimizer: Any) -> None:
        """Continue from the state of an optimizer with a slot for each weight."""
        scalars, slots = _state_by_name(optimizer)
        for name, variable in scalars.items():
            getattr(self._optimizer, name).assign(variable)
        for name, variables in slots.items():
            (flat,) = getattr(self._optimizer, name)
            flat.assign(self._layout.join([variable.numpy() for variable in variables]))

    def _flat_copy(self, trainable: Sequence[Any]) -> list[Any]:
        start = self._layout.join([variable.numpy() for variable in trainable])
        return [import_keras().Variable(start, dtype=self._layout.dtype, name="weights")]

    def _joined(self) -> Any:
        import tensorflow as tf

        dtype = self._layout.dtype
        parts = [tf.cast(tf.reshape(v.value, [-1]), dtype) for v in self._variables]
        return tf.concat(parts, axis=0)


@contextmanager
def _scaled_rates(optimizer: Any, share: Any) -> Iterator[None]:
    """Trace an optimizer with a share of its learning rates; None leaves it as it is."""
    leaves = [] if share is None else leaf_optimizers(optimizer)
    originals = [leaf._learning_rate for leaf in leaves]

    def scaled(leaf: Any) -> Any:
        rate = import_keras().ops.convert_to_tensor(leaf._get_current_learning_rate())
        scaled_rate = rate * import_keras().ops.cast(share, rate.dtype)
        return lambda: scaled_rate

    for leaf in leaves:
        # Not by setattr, with which Keras would drop the variable of the rate.
        vars(leaf)["_learning_rate"] = scaled(leaf)
    try:
        yield
    finally:
        for leaf, original in zip(leaves, originals, strict=True):
            vars(leaf)["_learning_rate"] = original


def _disable_momentum(optimizer: Any) -> None:
    if _has_first_moment(optimizer) and optimizer.beta_1:
        logger.info(
            "%s: beta_1 = 0 instead of %g, because asynchronous workers add momentum "
            "(training.asynchronous_rule = scaled_rate)",
            name_of(optimizer),
            optimizer.beta_1,
        )
        optimizer.beta_1 = 0.0


def _state_by_name(optimizer: Any) -> tuple[dict[str, Any], dict[str, list[Any]]]:
    """Return the attributes that are one variable, and those that are one for each weight."""
    kind = import_keras().Variable
    scalars, slots = {}, {}
    for name, value in vars(optimizer).items():
        if name in ("_learning_rate", "_trainable_variables", "_variables"):
            continue
        if isinstance(value, kind):
            scalars[name] = value
        elif isinstance(value, list) and value and all(isinstance(item, kind) for item in value):
            slots[name] = value
    return scalars, slots


def _copies(trainable: Sequence[Any]) -> list[Any]:
    return [_copy(variable) for variable in trainable]


def _copy(variable: Any) -> Any:
    """Return a copy that an optimizer treats like the original."""
    keras = import_keras()
    copy = keras.Variable(variable.numpy(), dtype=str(variable.dtype), name=variable.name)
    copy.constraint = variable.constraint
    copy.overwrite_with_gradient = variable.overwrite_with_gradient
    # Muon and MultiOptimizer choose by the path, which has the names of the layers.
    copy._path = variable.path
    return copy


def _is_plain(variable: Any, dtype: str) -> bool:
    return (
        variable.constraint is None
        and not variable.overwrite_with_gradient
        and str(variable.dtype) == dtype
    )


def is_elementwise(optimizer: Any) -> bool:
    """Return whether an optimizer may work on the model as one vector."""
    # Exactly these classes: a subclass may use whole tensors, and so does `clipnorm`.
    return (
        name_of(optimizer) in ELEMENTWISE_OPTIMIZERS
        and type(optimizer).__module__.startswith("keras.")
        and optimizer.clipnorm is None
        # An instance may have a method of its own, such as `optimizer.update_step = ...`.
        and not any(callable(getattr(type(optimizer), name, None)) for name in vars(optimizer))
    )


def _has_first_moment(optimizer: Any) -> bool:
    """Return whether steps keep their length without momentum; not so SGD, RMSprop and Lion."""
    from keras import optimizers

    adaptive = (optimizers.Adam, optimizers.Nadam, optimizers.Adamax, optimizers.Lamb)
    return isinstance(optimizer, adaptive)
