"""Optimizer step: one update of the shared weights by a Keras optimizer."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, Final

import numpy as np

from glasses_spark.errors import TrainingError
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
    ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam", "Ftrl", "Lion"]
)


def require_supported_optimizer(optimizer: Any) -> None:
    """Refuse an optimizer that does more than apply gradients.

    Raises:
        TrainingError: It scales the loss, which the workers do not, or keeps a
            moving average of the weights.
    """
    name = type(optimizer).__name__
    if getattr(optimizer, "use_ema", False):
        raise TrainingError(
            f"optimizer {name}: distributed training does not keep a moving average of the "
            "weights (use_ema=True). Remove use_ema"
        )
    if name == "LossScaleOptimizer" or getattr(optimizer, "loss_scale_factor", None):
        raise TrainingError(
            f"optimizer {name}: distributed training does not scale the loss, which only half "
            "precision needs. Remove loss_scale_factor or LossScaleOptimizer"
        )


class OptimizerStep:
    """One step of a copy of the model's optimizer, traced once.

    It has its own copies of the weights, because callbacks may read and write the
    model while updates arrive.

    Args:
        model: Compiled Keras model.
        layout: Layout of its weights' vector.
        momentum: Whether the optimizer keeps its ``beta_1``.
    """

    def __init__(self, model: Any, layout: WeightLayout, *, momentum: bool = True) -> None:
        import keras
        import tensorflow as tf

        optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
        trainable, _ = exchanged_variables(model)
        self._flat = _is_elementwise(optimizer) and all(v.constraint is None for v in trainable)
        self._layout = replace(layout, statistics=())
        if self._flat:
            start = self._layout.join([variable.numpy() for variable in trainable])
            variables = [keras.Variable(start, dtype=layout.dtype, name="weights")]
            shapes: list[tuple[int, ...]] = [(layout.trainable_size,)]
        else:
            variables, shapes = [_copy(variable) for variable in trainable], list(layout.trainable)
        optimizer.build(variables)
        if not momentum:
            _disable_momentum(optimizer)
        self._variables, self._optimizer = variables, optimizer
        # The number, schedule or function itself: the public property returns the current value.
        self._learning_rate = optimizer._learning_rate
        sizes = [int(np.prod(shape)) for shape in shapes]

        def step(gradient: Any, share: Any) -> Any:
            parts = tf.split(gradient, sizes)
            gradients = [tf.reshape(part, s) for part, s in zip(parts, shapes, strict=True)]
            optimizer.learning_rate = lambda: self._current_learning_rate() * share
            optimizer.apply(gradients, variables)
            return self._joined()

        signature = [
            tf.TensorSpec((layout.trainable_size,), layout.dtype),
            tf.TensorSpec((), keras.config.floatx()),
        ]
        self._step = tf.function(step, input_signature=signature, autograph=False)

    def __call__(self, gradient: Vector, share: float) -> Vector:
        """Apply a gradient.

        Args:
            gradient: Gradient of the trainable weights, ``(trainable_size,)``.
            share: Factor of the learning rate, in (0, 1].

        Returns:
            The trainable weights after the step, ``(trainable_size,)``.
        """
        # A copy: the next step changes TensorFlow's own memory.
        return np.array(self._step(gradient, share))

    def read(self) -> Vector:
        """Return a copy of the trainable weights, ``(trainable_size,)``."""
        return np.array(self._joined())

    def replace(self, trainable: Vector) -> None:
        """Set the trainable weights, ``(trainable_size,)``."""
        arrays = [trainable] if self._flat else self._layout.split(trainable)
        for variable, array in zip(self._variables, arrays, strict=True):
            variable.assign(array.reshape(variable.shape))

    def set_learning_rate(self, value: float) -> None:
        """Set the learning rate, where it is a number and not a schedule."""
        self._learning_rate.assign(value)

    def write_state(self, model: Any) -> None:
        """Copy the optimizer's state to the model's optimizer, for further training."""
        target = model.optimizer
        trainable, _ = exchanged_variables(model)
        if not target.built:
            target.build(trainable)
        target.iterations.assign(self._optimizer.iterations)
        slots, target_slots = _slots(self._optimizer), _slots(target)
        if not self._flat:
            for slot, target_slot in zip(slots, target_slots, strict=True):
                target_slot.assign(slot)
            return
        for slot in slots:
            if not slot.shape:
                continue  # a scalar that the build of the target's optimizer creates
            kind = slot.name.removeprefix("weights_")
            matching = [
                candidate for candidate in target_slots if candidate.name.endswith(f"_{kind}")
            ]
            for target_slot, array in zip(matching, self._layout.split(slot.numpy()), strict=True):
                target_slot.assign(array)

    def _current_learning_rate(self) -> Any:
        import keras

        if isinstance(self._learning_rate, keras.Variable):
            return self._learning_rate.value
        if isinstance(self._learning_rate, keras.optimizers.schedules.LearningRateSchedule):
            return self._learning_rate(self._optimizer.iterations)
        return self._learning_rate()

    def _joined(self) -> Any:
        import tensorflow as tf

        return tf.concat([tf.reshape(v.value, [-1]) for v in self._variables], axis=0)


def _disable_momentum(optimizer: Any) -> None:
    if _has_first_moment(optimizer) and optimizer.beta_1:
        logger.info(
            "%s: beta_1 = 0 instead of %g, because asynchronous workers add momentum "
            "(training.staleness_aware)",
            type(optimizer).__name__,
            optimizer.beta_1,
        )
        optimizer.beta_1 = 0.0


def _slots(optimizer: Any) -> list[Any]:
    """Return the optimizer's state for the weights, in its order."""
    own = {id(optimizer.iterations), id(getattr(optimizer, "_learning_rate", None))}
    return [variable for variable in optimizer.variables if id(variable) not in own]


def _copy(variable: Any) -> Any:
    import keras

    copy = keras.Variable(variable.numpy(), dtype=str(variable.dtype), name=variable.name)
    copy.constraint = variable.constraint
    return copy


def _is_elementwise(optimizer: Any) -> bool:
    # Exactly these classes: a subclass may use whole tensors, and so does `clipnorm`.
    return type(optimizer).__name__ in ELEMENTWISE_OPTIMIZERS and (
        type(optimizer).__module__.startswith("keras.") and optimizer.clipnorm is None
    )


def _has_first_moment(optimizer: Any) -> bool:
    """Return whether steps keep their length without momentum; not so SGD, RMSprop and Lion."""
    from keras import optimizers

    adaptive = (optimizers.Adam, optimizers.Nadam, optimizers.Adamax, optimizers.Lamb)
    return isinstance(optimizer, adaptive)
