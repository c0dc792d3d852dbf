"""Metric states: metrics over the rows of all workers, from sums of their states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from glasses_spark.scoring.model_input import model_input
from glasses_spark.training.weights import Vector
from glasses_spark.training.worker.spool import RowFormat, Rows


class MetricStates:
    """State of a compiled model's metrics as one flat vector.

    The state of a Keras metric is a sum over rows (of losses, of correct predictions, of
    counts at thresholds), from which Keras computes the result. So the states of batches
    and workers can be added, and the result of the sum is the metric over all rows, also
    for metrics that are not means, such as the area under a curve.

    Args:
        model: A compiled model.
        row_format: Format of a row.

    Attributes:
        variables: The metrics' variables.
        size: Length of the state.
    """

    def __init__(self, model: Any, row_format: RowFormat) -> None:
        self._model = model
        # Keras creates most variables of a metric at its first update.
        x, y, weight = inputs_of_rows(model, row_format)(*_one_row(row_format))
        prediction = model(x, training=False)
        model.compute_loss(x=x, y=y, y_pred=prediction, sample_weight=weight, training=False)
        self._update(x, y, prediction, weight, 0.0, 1)
        self.variables = [v for metric in model.metrics for v in metric.variables]
        self.size = sum(int(np.prod(v.shape)) for v in self.variables)

    def of_batch(self, x: Any, y: Any, prediction: Any, weight: Any, loss: Any, rows: Any) -> Any:
        """Return the state of one batch, a float64 tensor ``(size,)``.

        Runs in a TensorFlow graph.

        Args:
            x: The model's inputs.
            y: Labels.
            prediction: The model's outputs.
            weight: Sample weights ``(rows,)``.
            loss: Loss of the batch.
            rows: Number of rows.
        """
        import tensorflow as tf

        for variable in self.variables:
            variable.assign(tf.zeros(variable.shape, variable.dtype))
        self._update(x, y, prediction, weight, loss, rows)
        flat = [tf.reshape(tf.cast(v.value, tf.float64), [-1]) for v in self.variables]
        return tf.concat(flat, axis=0)

    def results(self, state: Vector) -> dict[str, float]:
        """Return the metrics by name, computed from a summed state ``(size,)``."""
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
    """Return a function from rows of a worker's file to the model's inputs and labels.

    A model with floating-point inputs gets pixels in [0, 1]; one with integer inputs gets
    them unscaled. Features are reshaped to the model's input. Labels with as many numbers
    as the output are reshaped to it.
    """
    import tensorflow as tf

    shape = model.input_shape[1:]
    outputs = model.output_shape[1:]
    dtype = model.inputs[0].dtype
    reshapes_labels = row_format.label_size == int(np.prod(outputs))

    def inputs(x: Any, y: Any, weight: Any) -> tuple[Any, Any, Any]:
        if reshapes_labels:
            y = tf.reshape(y, [-1, *outputs])
        return model_input(x, shape, dtype), tf.convert_to_tensor(y), tf.convert_to_tensor(weight)

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
