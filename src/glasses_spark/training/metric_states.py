"""Metric states: metrics over the rows of all workers, from sums of their states."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import numpy as np

from glasses_spark.errors import TrainingError
from glasses_spark.runtime.random_states import random_states, set_random_states
from glasses_spark.scoring.model_input import model_inputs, pack_outputs
from glasses_spark.training.examples import example_inputs
from glasses_spark.training.weights import Vector
from glasses_spark.training.worker.spool import RowFormat


@dataclass(frozen=True)
class MetricRules:
    """How the workers of a fit compute the states of its metrics.

    Attributes:
        carried: Names of the metrics whose states are not sums. If there are any, the one
            worker of the fit carries the states on from batch to batch, as Keras does.
        weighted: Whether training rows have weights, which ``weighted_metrics`` use.
        validation_weighted: Whether validation rows have weights.
    """

    carried: tuple[str, ...] = ()
    weighted: bool = True
    validation_weighted: bool = True


DEFAULT_RULES: Final = MetricRules()


class MetricStates:
    """State of a compiled model's metrics as one flat vector.

    The state of most Keras metrics is a sum over rows or batches (of losses, of correct
    predictions, of counts at thresholds), from which Keras computes the result. So the states
    of batches and workers can be added, and the result of the sum is the metric over all
    rows, also for metrics that are not means, such as the area under a curve. `metric_rules`
    finds the metrics for which this is not so.

    Args:
        model: A compiled model.
        row_format: Format of a row.
        rules: How states of batches are computed and combined.

    Attributes:
        model: The model.
        row_format: Format of a row.
        rules: How states of batches are computed and combined.
        variables: The metrics' variables.
        size: Length of the state.

    Raises:
        TrainingError: The rows have weights, which the loss cannot use.
    """

    def __init__(
        self, model: Any, row_format: RowFormat, rules: MetricRules = DEFAULT_RULES
    ) -> None:
        self.model = model
        self.row_format = row_format
        self.rules = rules
        # Some layers draw random numbers outside of training as well.
        states = random_states(model)
        # Keras creates most variables of a metric at its first update.
        rows = _example_rows(model)
        x = example_inputs(model, rows)
        uses_weights = rules.weighted or rules.validation_weighted
        weight = np.ones(rows, row_format.dtype) if uses_weights else None
        y = labels_of_rows(
            model, row_format, [np.zeros((rows, f.size), f.dtype) for f in row_format.labels]
        )
        prediction = model(x, training=False)
        _try_loss(model, x, y, prediction, weight)
        self._update(x, y, prediction, weight, 0.0, rows)
        self.variables = [v for metric in model.metrics for v in metric.variables]
        self.size = sum(int(np.prod(v.shape)) for v in self.variables)
        model.reset_metrics()
        set_random_states(model, states)

    def begin_batch(self) -> None:
        """Begin a batch, before the model is called: layers may have metrics.

        Runs in a TensorFlow graph.
        """
        import tensorflow as tf

        if not self.rules.carried:
            for variable in self.variables:
                variable.assign(tf.zeros(variable.shape, variable.dtype))

    def begin(self) -> None:
        """Begin a pass over training or validation rows."""
        if self.rules.carried:
            self.model.reset_metrics()

    def used_weight(self, weight: Any, *, training: bool) -> Any:
        """Return the weights of a batch; None if the rows have none, as in Keras.

        Args:
            weight: Sample weights ``(rows,)``, 1 for rows without.
            training: Whether these are training rows.
        """
        weighted = self.rules.weighted if training else self.rules.validation_weighted
        return weight if weighted else None

    def of_batch(self, x: Any, y: Any, prediction: Any, weight: Any, loss: Any, rows: Any) -> Any:
        """Return the state of the batch after `begin_batch`, a float64 tensor ``(size,)``.

        A carried state is that of all batches since `begin`. Runs in a TensorFlow graph.

        Args:
            x: The model's inputs.
            y: Labels.
            prediction: The model's outputs.
            weight: Result of `used_weight`.
            loss: Loss of the batch.
            rows: Number of rows.
        """
        import tensorflow as tf

        self._update(x, y, prediction, weight, loss, rows)
        flat = [tf.reshape(tf.cast(v.value, tf.float64), [-1]) for v in self.variables]
        return tf.concat(flat, axis=0)

    def add(self, total: Vector, state: Vector) -> Vector:
        """Return the state of a pass so far, after one more batch.

        Args:
            total: State before the batch, ``(size,)``; zeros at the beginning of a pass.
            state: State that `of_batch` returned, ``(size,)``.
        """
        return state if self.rules.carried else total + state

    def results(self, state: Vector) -> dict[str, float]:
        """Return the metrics by name, computed from a summed state ``(size,)``.

        The names are those of Keras' own history, in its order. A metric with a value for
        each class has a name for each, such as ``f1_score_0``, and their mean has the name
        of the metric.
        """
        self.write(state)
        return dict(flat_results(self.model.get_metrics_result()))

    def write(self, state: Vector) -> None:
        """Set the metrics' variables from a state ``(size,)``."""
        import tensorflow as tf

        start = 0
        for variable in self.variables:
            stop = start + int(np.prod(variable.shape))
            values = np.asarray(state[start:stop]).reshape(variable.shape)
            variable.assign(tf.cast(values, variable.dtype))
            start = stop

    def _update(self, x: Any, y: Any, prediction: Any, weight: Any, loss: Any, rows: Any) -> None:
        self.model._loss_tracker.update_state(loss, sample_weight=rows)
        self.model.compute_metrics(x, y, prediction, weight)


def _example_rows(model: Any) -> int:
    """Return a number of rows that no side of an output has, so that they cannot be mixed up."""
    sides = {side for port in model.outputs for side in port.shape[1:]}
    return next(rows for rows in count(2) if rows not in sides)


def _try_loss(model: Any, x: Any, y: Any, prediction: Any, weight: Any) -> None:
    """Compute the loss of example rows once.

    Raises:
        TrainingError: It can be computed without the weights of the rows only.
    """

    def compute(weight: Any) -> None:
        model.compute_loss(x=x, y=y, y_pred=prediction, sample_weight=weight, training=False)

    try:
        compute(weight)
    except Exception as error:
        if weight is None:
            raise
        compute(None)
        raise TrainingError(
            "weights of rows (weightCol, class_weight): expected a loss with one value for each "
            "row, got one with more, such as one for each step or pixel, to which Keras cannot "
            "apply them. Train without weights, or use a loss that returns the mean of each row"
        ) from error


def inputs_of_rows(model: Any, row_format: RowFormat) -> Any:
    """Return a function from rows of a worker's file to the model's inputs and labels.

    A model with floating-point inputs gets pixels in [0, 1]; one with integer inputs gets
    them unscaled. Features are reshaped to the model's inputs.
    """
    import tensorflow as tf

    def inputs(x: Sequence[Any], y: Sequence[Any], weight: Any) -> tuple[Any, Any, Any]:
        labels = labels_of_rows(model, row_format, y)
        return model_inputs(model, x), labels, tf.convert_to_tensor(weight)

    return inputs


def labels_of_rows(model: Any, row_format: RowFormat, y: Sequence[Any]) -> Any:
    """Return the labels of rows in the form in which the model returns its outputs.

    Args:
        model: Built Keras model.
        row_format: Format of a row.
        y: Labels ``(rows, size)`` of each output.
    """
    import tensorflow as tf

    shapes = [tuple(port.shape[1:]) for port in model.outputs]
    labels = [
        tf.reshape(values, [-1, *label_shape(field.size, shape)])
        for values, field, shape in zip(y, row_format.labels, shapes, strict=True)
    ]
    return pack_outputs(model, labels)


def label_shape(size: int, output: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of a row's label: that of the output, without its classes, or flat.

    Args:
        size: Numbers in the label.
        output: Shape of the output without the batch dimension.
    """
    for shape in (tuple(output), tuple(output[:-1])):
        if shape and size == int(np.prod(shape)):
            return shape
    return (size,)


def flat_results(results: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return names and values of metrics, with a name for each value of an array.

    Args:
        results: Results of metrics by name: numbers, arrays, or dictionaries of them.

    Returns:
        The pairs in the order of Keras' history, which sorts by name. A name may occur
        twice.
    """
    flat: list[tuple[str, float]] = []
    for name, value in sorted(results.items()):
        if isinstance(value, Mapping):
            flat += flat_results(value)
            continue
        array = np.asarray(value, np.float64)
        flat.append((name, float(array.mean())))
        if array.ndim:
            flat += [
                ("_".join([name, *map(str, index)]), float(array[index]))
                for index in np.ndindex(array.shape)
            ]
    return flat
