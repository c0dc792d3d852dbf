"""Metric states: metrics over the rows of all workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from glasses_spark.training.weights import Vector
from glasses_spark.training.worker.spool import RowFormat, Rows


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
