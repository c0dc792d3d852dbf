"""Steps: the computations of a worker on one batch, each traced by TensorFlow once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from glasses_spark.config.fields import AUTO
from glasses_spark.runtime.random_states import RandomGenerators
from glasses_spark.runtime.traced import Traced
from glasses_spark.training.metric_states import (
    DEFAULT_RULES,
    MetricRules,
    MetricStates,
    inputs_of_rows,
)
from glasses_spark.training.model_spec import ModelSpec
from glasses_spark.training.one_replica import in_one_replica
from glasses_spark.training.optimizers import (
    blank_copy,
    rate_variable,
    state_variables,
    unpack,
)
from glasses_spark.training.weights import Vector, WeightLayout, exchanged_variables, layout_of
from glasses_spark.training.worker.cpu_kernels import use_cpu_kernels
from glasses_spark.training.worker.spool import RowFormat, Rows

# Operations with a state of their own. Those of tf.random.stateless_* begin with "Stateless".
_STATEFUL: Final = re.compile("Random|Multinomial|TruncatedNormal|Parameterized|.*PyFunc")


class Steps:
    """A built model with its traced steps.

    Args:
        spec: Specification of the model.
        row_format: Format of a row, which must fit the model's inputs and outputs.
        metric_rules: How the states of the metrics are computed.

    Attributes:
        model: The compiled Keras model.
        layout: Layout of its weights' vector.
        states: The states of its metrics.
        random: Its random generators.
    """

    def __init__(
        self, spec: ModelSpec, row_format: RowFormat, metric_rules: MetricRules = DEFAULT_RULES
    ) -> None:
        import tensorflow as tf

        self.model = spec.build()
        self._start = spec.optimizer_state
        if spec.cpu_kernels == AUTO:
            use_cpu_kernels(self.model)
        self.layout: WeightLayout = layout_of(self.model)
        self.random = RandomGenerators(self.model)
        self._random_states = self.random.read()
        rate = rate_variable(self.model.optimizer)
        self._rate = None if rate is None else float(rate.numpy())
        self.states = MetricStates(self.model, row_format, metric_rules)
        self._inputs = inputs_of_rows(self.model, row_format)
        trainable, statistics = exchanged_variables(self.model)
        self._trainable, self._statistics = trainable, statistics
        x, y = (
            tuple(tf.TensorSpec((None, field.size), field.dtype) for field in fields)
            for fields in (row_format.features, row_format.labels)
        )
        rows = [x, y, tf.TensorSpec((None,), row_format.dtype)]
        vector = tf.TensorSpec((self.layout.size,), self.layout.dtype)

        self._gradient = Traced(self._gradient_step, [vector, *rows])
        self._train = Traced(self._train_step, rows)
        self._evaluate = Traced(self._evaluation_step, rows)
        self._write = Traced(self._assign, [vector])
        self._read = Traced(self._vector, [])

    def has_own_state(self) -> bool:
        """Return whether operations have a state that `restart` cannot reset.

        Those of Keras' own layers have none. ``tf.random.uniform`` in a layer of the user goes
        on where it was, and a Python function may do anything.
        """
        traced = (self._gradient, self._train, self._evaluate)
        return any(_STATEFUL.match(name) for step in traced for name in step.operations())

    def restart(self, learning_rate: float) -> None:
        """Return to the state after construction, for another fit of the same model.

        Not the weights and the state of the optimizer: a fit sets them before it trains.

        Args:
            learning_rate: Learning rate of the fit; 0 keeps the optimizer's own.
        """
        self.random.write(self._random_states)
        rate = rate_variable(self.model.optimizer)
        if rate is not None:
            rate.assign(learning_rate or self._rate)

    def gradient(
        self, weights: Vector, x: Sequence[Rows], y: Sequence[Rows], weight: Rows
    ) -> tuple[Vector, Vector]:
        """Compute the update of one batch, for ``frequency="batch"``.

        Args:
            weights: Weights of the model, ``(size,)``.
            x: Features ``(rows, size)`` of each input.
            y: Labels ``(rows, size)`` of each output.
            weight: Sample weights ``(rows,)``.

        Returns:
            The gradient and the statistics after the batch, ``(size,)``, and the
            state of the metrics, ``(state_size,)``.
        """
        update, state = self._gradient(weights, tuple(x), tuple(y), weight)
        return update.numpy(), state.numpy()

    def train(self, x: Sequence[Rows], y: Sequence[Rows], weight: Rows) -> Vector:
        """Run one step of this worker's own optimizer, for ``frequency="epoch"``.

        Args:
            x: Features ``(rows, size)`` of each input.
            y: Labels ``(rows, size)`` of each output.
            weight: Sample weights ``(rows,)``.

        Returns:
            The state of the metrics over the batch, ``(state_size,)``.
        """
        return np.asarray(self._train(tuple(x), tuple(y), weight))

    def evaluate(self, x: Sequence[Rows], y: Sequence[Rows], weight: Rows) -> Vector:
        """Return the state of the metrics over one batch, with the current weights."""
        return np.asarray(self._evaluate(tuple(x), tuple(y), weight))

    def write(self, weights: Vector) -> None:
        """Set the model's weights, ``(size,)``."""
        self._write(weights)

    def read(self) -> Vector:
        """Return the model's weights, ``(size,)``."""
        return np.array(self._read())

    def prepare_to_train(self, state: Sequence[npt.NDArray[Any]] | None) -> None:
        """Give this model's optimizer the state of a worker's own one.

        Called when the model has the weights that the worker trains from: some optimizers
        copy them when they begin.

        Args:
            state: Result of `optimizer_state`; None for a worker that begins.
        """
        optimizer = self.model.optimizer
        if not optimizer.built:
            optimizer.build(self._trainable)
        if state is None:
            state = self._new_optimizer_state()
        for variable, array in zip(state_variables(optimizer), state, strict=True):
            variable.assign(array)

    def optimizer_state(self) -> list[npt.NDArray[Any]]:
        """Return the state of this worker's own optimizer, as `OptimizerState` has it."""
        return [variable.numpy() for variable in state_variables(self.model.optimizer)]

    def unpack_optimizer_state(self, parts: Sequence[Vector]) -> list[npt.NDArray[Any]]:
        """Return the state of a worker's own optimizer from `optimizers.pack`."""
        if not self.model.optimizer.built:
            self.model.optimizer.build(self._trainable)
        return unpack(parts, state_variables(self.model.optimizer))

    def _new_optimizer_state(self) -> Sequence[npt.NDArray[Any]]:
        if self._start.variables:
            return self._start.variables
        optimizer = blank_copy(self.model.optimizer)
        optimizer.build(self._trainable)
        return [variable.numpy() for variable in state_variables(optimizer)]

    def _forward(self, rows: tuple[Any, Any, Any], *, training: bool) -> tuple[Any, Any]:
        import tensorflow as tf

        self.states.begin_batch()
        x, y, weight = self._inputs(*rows)
        count = tf.shape(weight)[0]
        weight = self.states.used_weight(weight, training=training)
        prediction = self.model(x, training=training)
        loss = self.model.compute_loss(
            x=x, y=y, y_pred=prediction, sample_weight=weight, training=training
        )
        return loss, (x, y, prediction, weight, loss, count)

    def _gradient_step(self, weights: Any, *rows: Any) -> tuple[Any, Any]:
        import tensorflow as tf

        self._assign(weights)
        with tf.GradientTape() as tape:
            loss, outcome = self._forward(rows, training=True)
            loss = self.model.optimizer.scale_loss(loss)  # the optimizer in the driver unscales
        # Dense, and 0 for a weight that does not affect the loss, which the driver leaves out.
        gradients = [
            tf.zeros_like(variable.value) if gradient is None else gradient
            for gradient, variable in zip(self._gradients(tape, loss), self._trainable, strict=True)
        ]
        statistics = [variable.value for variable in self._statistics]
        return self._flat([*gradients, *statistics]), self.states.of_batch(*outcome)

    def _train_step(self, *rows: Any) -> Any:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss, outcome = self._forward(rows, training=True)
            loss = self.model.optimizer.scale_loss(loss)
        gradients = self._gradients(tape, loss)
        with in_one_replica(self.model.optimizer):
            self.model.optimizer.apply(gradients, self._trainable)
        return self.states.of_batch(*outcome)

    def _evaluation_step(self, *rows: Any) -> Any:
        _, outcome = self._forward(rows, training=False)
        return self.states.of_batch(*outcome)

    def _gradients(self, tape: Any, loss: Any) -> list[Any]:
        return list(tape.gradient(loss, [variable.value for variable in self._trainable]))

    def _assign(self, vector: Any) -> None:
        for variable, part in zip(
            (*self._trainable, *self._statistics), self._parts(vector), strict=True
        ):
            variable.assign(part)

    def _vector(self) -> Any:
        return self._flat([v.value for v in (*self._trainable, *self._statistics)])

    def _parts(self, vector: Any) -> list[Any]:
        import tensorflow as tf

        shapes = [*self.layout.trainable, *self.layout.statistics]
        parts = tf.split(vector, [int(np.prod(shape)) for shape in shapes])
        return [tf.reshape(part, shape) for part, shape in zip(parts, shapes, strict=True)]

    def _flat(self, tensors: list[Any]) -> Any:
        import tensorflow as tf

        return tf.concat([tf.reshape(tf.cast(t, self.layout.dtype), [-1]) for t in tensors], axis=0)
