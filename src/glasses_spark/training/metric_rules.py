"""Metric rules: finds out, before a fit, whether workers can add the states of its metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from glasses_spark.errors import TrainingError
from glasses_spark.scoring.model_input import pack_outputs
from glasses_spark.training.history import RESERVED
from glasses_spark.training.metric_states import (
    MetricRules,
    MetricStates,
    flat_results,
    label_shape,
)
from glasses_spark.training.worker.spool import RowFormat

# Rows of the two batches of an experiment, and the rounding allowed in their sums.
_ROWS: Final = (3, 5)
_TOLERANCE: Final = 1e-5


def metric_rules(states: MetricStates, *, workers: int) -> MetricRules:
    """Return how the workers of a fit compute its metrics, found out on random numbers.

    A metric's state is a sum if its state after two batches, starting from zero, is the
    sum of its states after each of them.

    Args:
        states: States of the driver's model. Its rules say which rows have weights.
        workers: Number of workers.

    Raises:
        TrainingError: A metric cannot be computed by so many workers, is not reset
            between epochs, or has a name that the history uses otherwise.
    """
    model, rules = states.model, states.rules
    carried = [metric.name for metric in _metrics_of_layers(model)]
    has_weights = rules.weighted or rules.validation_weighted
    for metric, uses_weights, output in _compiled_metrics(model):
        batches = _draw_batches(model, states.row_format, output)
        if not metric.variables:
            raise TrainingError(
                f"metric {metric.name!r}: expected a state in variables, from add_variable, got "
                "a metric without. Remove it from the model"
            )
        if not _is_sum(metric, batches, uses_weights=uses_weights and has_weights):
            carried.append(metric.name)
    _require_own_names(model)
    model.reset_metrics()
    if carried and workers > 1:
        raise TrainingError(
            f"metric {', '.join(map(repr, carried))}: expected a state that is a sum over "
            f"batches, which {workers} workers can add, got another one. Use num_workers=1, or "
            "remove the metric"
        )
    return replace(rules, carried=tuple(carried))


@dataclass(frozen=True)
class _Batch:
    """Random numbers: labels, predictions and weights of some rows."""

    labels: Any
    predictions: Any
    weights: Any

    def update(self, metric: Any, *, uses_weights: bool) -> npt.NDArray[np.float64]:
        """Update a metric, and return its state."""
        weights = self.weights if uses_weights else None
        metric.update_state(self.labels, self.predictions, sample_weight=weights)
        return _state(metric)


def _is_sum(metric: Any, batches: list[tuple[_Batch, _Batch]], *, uses_weights: bool) -> bool:
    is_sum = True
    # The last pair is the one that every metric can be updated with.
    for number, (first, second) in enumerate(batches, start=1):
        start = _reset(metric)
        is_sum &= not start.any()
        try:
            alone = first.update(metric, uses_weights=uses_weights)
            both = second.update(metric, uses_weights=uses_weights)
            again = _reset(metric)
            other = second.update(metric, uses_weights=uses_weights)
        except Exception:
            # Some metrics refuse predictions outside [0, 1]. Without a result, the
            # state is not known to be a sum.
            is_sum &= number < len(batches)
            continue
        if not np.array_equal(start, again, equal_nan=True):
            raise TrainingError(
                f"metric {metric.name!r}: expected reset_state to set back its variables, got "
                "other values than before the first batch. Correct the metric, or remove it"
            )
        with np.errstate(invalid="ignore"):
            size = np.abs(alone) + np.abs(other) + np.abs(both)
            differs = np.abs(alone + other - both) > _TOLERANCE * size
            differs |= np.isnan(alone + other) != np.isnan(both)
        is_sum &= not differs.any()
    return is_sum


def _reset(metric: Any) -> npt.NDArray[np.float64]:
    metric.reset_state()
    return _state(metric)


def _state(metric: Any) -> npt.NDArray[np.float64]:
    values = [np.asarray(variable.numpy(), np.float64).ravel() for variable in metric.variables]
    return np.concatenate(values)


def _compiled_metrics(model: Any) -> Iterator[tuple[Any, bool, int]]:
    """Yield the metrics of ``compile``, whether they use weights, and their output's position."""
    compiled = model._compile_metrics
    if compiled is not None:
        positions = list(range(len(model.outputs)))
        if len(positions) > 1:
            # Keras takes the outputs of a dictionary in another order.
            positions = compiled._flatten_y(pack_outputs(model, positions))
        for groups, uses_weights in (
            (compiled._flat_metrics, False),
            (compiled._flat_weighted_metrics, True),
        ):
            for group, position in zip(groups, positions, strict=True):
                for metric in group.metrics if group else ():
                    yield metric, uses_weights, position


def _metrics_of_layers(model: Any) -> list[Any]:
    """Return the metrics that layers update when they are called."""
    compiled = [model._loss_tracker, model._compile_metrics, *model._compile_loss.metrics]
    return [metric for metric in model.metrics if all(metric is not known for known in compiled)]


def _draw_batches(model: Any, row_format: RowFormat, output: int) -> list[tuple[_Batch, _Batch]]:
    """Draw pairs of batches for an output: of any numbers, then of classes and probabilities."""
    generator = np.random.default_rng(0)
    field, port = row_format.labels[output], model.outputs[output]
    shape = tuple(port.shape[1:])
    labels_are_classes = field.size != int(np.prod(shape))
    classes = shape[-1] if labels_are_classes else 2

    def batch(rows: int, *, any_numbers: bool) -> _Batch:
        labels: npt.NDArray[Any] = generator.integers(0, classes, (rows, field.size))
        predictions = generator.uniform(0.01, 0.99, (rows, *shape))
        if any_numbers:
            predictions = generator.normal(0, 10, predictions.shape)
            if not labels_are_classes:
                labels = generator.normal(0, 10, labels.shape)
        weights = generator.uniform(0.5, 2, rows).astype(row_format.dtype)
        y = labels.astype(field.dtype).reshape(rows, *label_shape(field.size, shape))
        return _Batch(_tensor(y, field.dtype), _tensor(predictions, port.dtype), weights)

    return [
        (batch(_ROWS[0], any_numbers=any_numbers), batch(_ROWS[1], any_numbers=any_numbers))
        for any_numbers in (True, False)
    ]


def _tensor(values: npt.NDArray[Any], dtype: str) -> Any:
    import tensorflow as tf

    return tf.cast(values, dtype)


def _require_own_names(model: Any) -> None:
    names = Counter(name for name, _ in flat_results(model.get_metrics_result()))
    for name, count in names.items():
        if count > 1 or name in RESERVED:
            raise TrainingError(
                f"metric {name!r}: expected a name that nothing else in the history has, got one "
                "that the values of a class or the record of an epoch have as well. Give the "
                "metric another name"
            )
