"""Steps: what a worker computes on one batch, each traced by TensorFlow once."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glasses_spark.training.precision import FLOAT32, compute_in
from glasses_spark.training.rewrite import rewrite
from glasses_spark.training.spool import RowFormat, Rows
from glasses_spark.training.weights import (
    Vector,
    WeightLayout,
    layout_of,
    travelling_variables,
)


@dataclass(frozen=True)
class ModelSpec:
    """All that it takes to build a compiled model on another machine.

    Attributes:
        config: The architecture, as ``model.to_json()`` gives it.
        loss: Keras loss, its name or its serialized form.
        metrics: Keras metrics or their names.
        optimizer: Serialized Keras optimizer.
        custom_objects: Classes and functions that the architecture names.
        frozen: Weights that stay as they are, by their place in ``model.weights``.
        floatx: Keras' floating-point type, in which losses are computed.
        precision: Format in which the model computes: ``float32``, which leaves
            it as it is, or ``bfloat16``.
    """

    config: str
    loss: Any
    metrics: Sequence[Any]
    optimizer: Mapping[str, Any] | str
    custom_objects: Mapping[str, Any] = field(default_factory=dict)
    frozen: Mapping[int, Any] = field(default_factory=dict)
    floatx: str = "float32"
    precision: str = FLOAT32

    def build(self) -> Any:
        """Build and compile the model; Keras must have been imported before."""
        import keras

        keras.config.set_floatx(self.floatx)
        with keras.utils.custom_object_scope(dict(self.custom_objects)):
            model = keras.models.model_from_json(self.config)
            optimizer = keras.optimizers.get(copy.deepcopy(self.optimizer))
            model.compile(
                optimizer=optimizer,
                loss=_fresh(self.loss),
                metrics=_fresh(self.metrics),
            )
        for place, array in self.frozen.items():
            model.weights[place].assign(array)
        compute_in(model, self.precision)
        return model


class MetricStates:
    """The state of a compiled model's metrics as one flat vector, which adds up.

    A Keras metric is a sum over the rows (of losses, of hits, of counts at
    thresholds) until it is asked for its result. So the states of batches and
    of workers may be added, and the result of the sum is that of all rows
    together, also for metrics that are no mean, such as the area under a curve.

    Args:
        model: A compiled model.
        row_format: Form of a row.
    """

    def __init__(self, model: Any, row_format: RowFormat) -> None:
        self._model = model
        # Keras makes most of a metric's variables on its first update only.
        x, y, weight = inputs_of_rows(model, row_format)(*_one_row(row_format))
        prediction = model(x, training=False)
        model.compute_loss(x=x, y=y, y_pred=prediction, sample_weight=weight, training=False)
        self._update(x, y, prediction, weight, 0.0, 1)
        self.variables = [v for metric in model.metrics for v in metric.variables]
        self.size = sum(int(np.prod(v.shape)) for v in self.variables)

    def of_batch(self, x: Any, y: Any, prediction: Any, weight: Any, loss: Any, rows: Any) -> Any:
        """The state after one batch alone, as a float64 tensor ``(size,)``. Runs in a graph."""
        import tensorflow as tf

        for variable in self.variables:
            variable.assign(tf.zeros(variable.shape, variable.dtype))
        self._update(x, y, prediction, weight, loss, rows)
        flat = [tf.reshape(tf.cast(v.value, tf.float64), [-1]) for v in self.variables]
        return tf.concat(flat, axis=0)

    def results(self, state: Vector) -> dict[str, float]:
        """The metrics, by name, that a summed state ``(size,)`` stands for."""
        start = 0
        for variable in self.variables:
            stop = start + int(np.prod(variable.shape))
            variable.assign(np.asarray(state[start:stop]).reshape(variable.shape))
            start = stop
        return _flat_results(self._model.get_metrics_result())

    def _update(self, x: Any, y: Any, prediction: Any, weight: Any, loss: Any, rows: Any) -> None:
        for metric in self._model.metrics:
            if metric.name == "loss":
                metric.update_state(loss, sample_weight=rows)
        self._model.compute_metrics(x, y, prediction, weight)


class Steps:
    """A built model with its traced steps.

    Args:
        spec: What to build.
        row_format: Form of a row; the model's input and output must fit it.
    """

    def __init__(self, spec: ModelSpec, row_format: RowFormat) -> None:
        import tensorflow as tf

        self.model = spec.build()
        rewrite(self.model)
        self.layout: WeightLayout = layout_of(self.model)
        self.states = MetricStates(self.model, row_format)
        self._inputs = inputs_of_rows(self.model, row_format)
        trainable, statistics = travelling_variables(self.model)
        self._trainable, self._statistics = trainable, statistics
        rows = [
            tf.TensorSpec((None, row_format.feature_size), row_format.feature_dtype),
            tf.TensorSpec((None, row_format.label_size), row_format.dtype),
            tf.TensorSpec((None,), row_format.dtype),
        ]
        vector = tf.TensorSpec((self.layout.size,), self.layout.dtype)

        def traced(step: Any, signature: list[Any]) -> Any:
            return tf.function(step, input_signature=signature, autograph=False)

        self._gradient = traced(self._gradient_step, [vector, *rows])
        self._train = traced(self._train_step, rows)
        self._evaluate = traced(self._evaluation_step, rows)
        self._write = traced(self._assign, [vector])
        self._read = traced(self._vector, [])

    def gradient(self, weights: Vector, x: Rows, y: Rows, weight: Rows) -> tuple[Vector, Vector]:
        """The update of one batch for ``frequency="batch"``.

        Args:
            weights: Weights to start from, ``(size,)``.
            x: Features ``(rows, feature_size)``.
            y: Labels ``(rows, label_size)``.
            weight: Sample weights ``(rows,)``.

        Returns:
            The gradient and the statistics after the batch, ``(size,)``; the
            state of the metrics.
        """
        update, state = self._gradient(weights, x, y, weight)
        return update.numpy(), state.numpy()

    def train(self, x: Rows, y: Rows, weight: Rows) -> Vector:
        """One step of this worker's own optimizer; returns the state of the metrics."""
        return np.asarray(self._train(x, y, weight))

    def evaluate(self, x: Rows, y: Rows, weight: Rows) -> Vector:
        """The state of the metrics over one batch, with the weights as they are."""
        return np.asarray(self._evaluate(x, y, weight))

    def write(self, weights: Vector) -> None:
        """Set the model's weights, ``(size,)``."""
        self._write(weights)

    def read(self) -> Vector:
        """The model's weights, ``(size,)``."""
        return np.array(self._read())

    def prepare_to_train(self) -> None:
        """Make the state of this worker's own optimizer, before the first `train`."""
        if not self.model.optimizer.built:
            self.model.optimizer.build(self._trainable)

    def _forward(self, rows: tuple[Any, Any, Any], *, training: bool) -> tuple[Any, Any]:
        import tensorflow as tf

        x, y, weight = self._inputs(*rows)
        prediction = self.model(x, training=training)
        loss = self.model.compute_loss(
            x=x, y=y, y_pred=prediction, sample_weight=weight, training=training
        )
        count = tf.shape(rows[0])[0]
        return loss, (x, y, prediction, weight, loss, count)

    def _gradient_step(self, weights: Any, *rows: Any) -> tuple[Any, Any]:
        import tensorflow as tf

        self._assign(weights)
        with tf.GradientTape() as tape:
            loss, outcome = self._forward(rows, training=True)
        gradients = self._gradients(tape, loss)
        statistics = [variable.value for variable in self._statistics]
        return self._flat([*gradients, *statistics]), self.states.of_batch(*outcome)

    def _train_step(self, *rows: Any) -> Any:
        import tensorflow as tf

        with tf.GradientTape() as tape:
            loss, outcome = self._forward(rows, training=True)
        self.model.optimizer.apply(self._gradients(tape, loss), self._trainable)
        return self.states.of_batch(*outcome)

    def _evaluation_step(self, *rows: Any) -> Any:
        _, outcome = self._forward(rows, training=False)
        return self.states.of_batch(*outcome)

    def _gradients(self, tape: Any, loss: Any) -> list[Any]:
        import tensorflow as tf

        values = [variable.value for variable in self._trainable]
        gradients = tape.gradient(loss, values)
        # A weight that the loss does not depend on has no gradient; it stays as it is.
        return [
            tf.zeros_like(value) if gradient is None else gradient
            for gradient, value in zip(gradients, values, strict=True)
        ]

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


def inputs_of_rows(model: Any, row_format: RowFormat) -> Any:
    """Make the function from rows as they lie in the file to what the model takes.

    For a model of floating-point numbers, pixels become numbers in [0, 1]; one
    of whole numbers gets them as they are. A row of features gets the shape of
    the model's input, and a row of labels, where it is as long, that of its output.
    """
    import tensorflow as tf

    shape = [-1, *model.input_shape[1:]]
    outputs = model.output_shape[1:]
    dtype = model.inputs[0].dtype
    scaled = row_format.feature_dtype == "uint8" and "float" in dtype
    shaped = row_format.label_size == int(np.prod(outputs))

    def inputs(x: Any, y: Any, weight: Any) -> tuple[Any, Any, Any]:
        x = tf.cast(x, dtype)
        if scaled:
            x = x / tf.cast(255, dtype)
        if shaped:
            y = tf.reshape(y, [-1, *outputs])
        return tf.reshape(x, shape), tf.convert_to_tensor(y), tf.convert_to_tensor(weight)

    return inputs


def _fresh(described: Any) -> Any:
    """A loss or a metric of its own: a metric holds state, and one spec may build many models."""
    import keras

    if isinstance(described, Mapping) and "class_name" in described:
        return keras.saving.deserialize_keras_object(dict(described))
    if isinstance(described, (list, tuple)):
        return [_fresh(one) for one in described]
    return copy.deepcopy(described)


def _one_row(row_format: RowFormat) -> tuple[Rows, Rows, Rows]:
    return (
        np.zeros((1, row_format.feature_size), row_format.feature_dtype),
        np.zeros((1, row_format.label_size), row_format.dtype),
        np.ones(1, row_format.dtype),
    )


def _flat_results(results: Mapping[str, Any]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, value in results.items():
        if isinstance(value, Mapping):
            flat.update(_flat_results(value))
        elif np.ndim(value) == 0:
            flat[name] = float(value)
    return flat
