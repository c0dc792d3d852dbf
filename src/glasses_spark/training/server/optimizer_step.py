"""Optimizer step: one update of the shared weights."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any, Final

import numpy as np

from glasses_spark.errors import TrainingError
from glasses_spark.training.weights import (
    Vector,
    WeightLayout,
    travelling_variables,
)

logger = logging.getLogger(__name__)

# Optimizers whose update of a number looks at nothing but that number's own
# gradient and state: they may see the whole model as one long vector, which
# saves a few hundred small operations a step.
ELEMENTWISE_OPTIMIZERS: Final = frozenset(
    ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Nadam", "Ftrl", "Lion"]
)


class GradientStep:
    """One step of an optimizer of its own, traced once.

    It works on copies of the model's weights: callbacks may read and write the
    model itself while updates come in.
    """

    def __init__(self, model: Any, layout: WeightLayout, *, momentum: bool = True) -> None:
        import keras
        import tensorflow as tf

        theirs = model.optimizer
        optimizer = type(theirs).from_config(theirs.get_config())
        trainable, _ = travelling_variables(model)
        self._flat = _is_elementwise(optimizer) and all(v.constraint is None for v in trainable)
        self._layout = replace(layout, statistics=())
        start = self._layout.join([variable.numpy() for variable in trainable])
        if self._flat:
            variables = [keras.Variable(start, dtype=layout.dtype, name="weights")]
            shapes: list[tuple[int, ...]] = [(layout.trainable_size,)]
        else:
            variables, shapes = [_copy(variable) for variable in trainable], list(layout.trainable)
        optimizer.build(variables)
        if not momentum and _has_first_moment(optimizer) and optimizer.beta_1:
            logger.info(
                "%s: beta_1 is 0 instead of %g, as asynchronous workers bring a momentum of "
                "their own (training.staleness_aware)",
                type(optimizer).__name__,
                optimizer.beta_1,
            )
            optimizer.beta_1 = 0.0
        self._variables, self._optimizer = variables, optimizer
        # The number, schedule or function itself; the public name gives its value of now.
        self._rate = optimizer._learning_rate
        sizes = [int(np.prod(shape)) for shape in shapes]

        def step(gradient: Any, share: Any) -> Any:
            parts = tf.split(gradient, sizes)
            gradients = [tf.reshape(part, s) for part, s in zip(parts, shapes, strict=True)]
            optimizer.learning_rate = lambda: self._rate_now() * share
            optimizer.apply(gradients, variables)
            return self._joined()

        signature = [
            tf.TensorSpec((layout.trainable_size,), layout.dtype),
            tf.TensorSpec((), keras.config.floatx()),
        ]
        self._step = tf.function(step, input_signature=signature, autograph=False)

    def __call__(self, gradient: Vector, share: float) -> Vector:
        """Apply a gradient at that share of the learning rate."""
        # A copy: TensorFlow's own memory changes under the next step.
        return np.array(self._step(gradient, share))

    def read(self) -> Vector:
        return np.array(self._joined())

    def replace(self, trainable: Vector) -> None:
        arrays = [trainable] if self._flat else self._layout.split(trainable)
        for variable, array in zip(self._variables, arrays, strict=True):
            variable.assign(array.reshape(variable.shape))

    def set_learning_rate(self, value: float) -> None:
        self._rate.assign(value)

    def write_state(self, model: Any) -> None:
        """Copy the optimizer's state to the model's, so that a saved model can train on."""
        theirs = model.optimizer
        trainable, _ = travelling_variables(model)
        if not theirs.built:
            theirs.build(trainable)
        theirs.iterations.assign(self._optimizer.iterations)
        ours, slots = (_slots(optimizer) for optimizer in (self._optimizer, theirs))
        if not self._flat:
            for mine, other in zip(ours, slots, strict=True):
                other.assign(mine)
            return
        for mine in ours:
            if not mine.shape:
                continue  # a number of the optimizer's own, made anew by its build
            kind = mine.name.removeprefix("weights_")
            others = [slot for slot in slots if slot.name.endswith(f"_{kind}")]
            for other, array in zip(others, self._layout.split(mine.numpy()), strict=True):
                other.assign(array)

    def _rate_now(self) -> Any:
        import keras

        if isinstance(self._rate, keras.Variable):
            return self._rate.value
        if isinstance(self._rate, keras.optimizers.schedules.LearningRateSchedule):
            return self._rate(self._optimizer.iterations)
        return self._rate()

    def _joined(self) -> Any:
        import tensorflow as tf

        return tf.concat([tf.reshape(v.value, [-1]) for v in self._variables], axis=0)


def _slots(optimizer: Any) -> list[Any]:
    """The optimizer's state for each weight, in its order."""
    own = {id(optimizer.iterations), id(getattr(optimizer, "_learning_rate", None))}
    return [variable for variable in optimizer.variables if id(variable) not in own]


def _copy(variable: Any) -> Any:
    import keras

    made = keras.Variable(variable.numpy(), dtype=str(variable.dtype), name=variable.name)
    made.constraint = variable.constraint
    return made


def _is_elementwise(optimizer: Any) -> bool:
    # Exactly these classes: a subclass may look at whole tensors. `clipnorm` does.
    return type(optimizer).__name__ in ELEMENTWISE_OPTIMIZERS and (
        type(optimizer).__module__.startswith("keras.") and optimizer.clipnorm is None
    )


def _has_first_moment(optimizer: Any) -> bool:
    """Whether its steps are as long without momentum: those of SGD, RMSprop and Lion are not."""
    from keras import optimizers

    adaptive = (optimizers.Adam, optimizers.Nadam, optimizers.Adamax, optimizers.Lamb)
    return isinstance(optimizer, adaptive)


def require_supported_optimizer(optimizer: Any) -> None:
    """Refuse an optimizer that does more than apply gradients.

    Raises:
        TrainingError: It scales the loss, which the workers do not, or keeps a
            moving average of the weights.
    """
    name = type(optimizer).__name__
    if getattr(optimizer, "use_ema", False):
        raise TrainingError(
            f"optimizer {name}: expected one without a moving average of the weights "
            "(use_ema=True), which a fit by many workers does not keep; leave use_ema out"
        )
    if name == "LossScaleOptimizer" or getattr(optimizer, "loss_scale_factor", None):
        raise TrainingError(
            f"optimizer {name}: expected one without loss scaling, which half precision needs "
            "and float32 does not; leave loss_scale_factor out"
        )
