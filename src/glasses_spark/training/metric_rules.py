"""Metric rules: finds out, before a fit, whether workers can add the states of its metrics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from glasses_spark.errors import TrainingError
from glasses_spark.training.history import RESERVED
from glasses_spark.training.metric_states import (
    MetricRules,
    MetricStates,
    flat_results,
    inputs_of_rows,
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
    batches = _draw_batches(model, states.row_format)
    has_weights = rules.weighted or rules.validation_weighted
    for metric, uses_weights in _compiled_metrics(model):
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


def _compiled_metrics(model: Any) -> Iterator[tuple[Any, bool]]:
    """Yield the metrics of ``compile``, and whether they use weights."""
    compiled = model._compile_metrics
    if compiled is not None:
        for groups, uses_weights in (
            (compiled._flat_metrics, False),
            (compiled._flat_weighted_metrics, True),
        ):
            for group in filter(None, groups):
                for metric in group.metrics:
                    yield metric, uses_weights


def _metrics_of_layers(model: Any) -> list[Any]:
    """Return the metrics that layers update when they are called."""
    compiled = [model._loss_tracker, model._compile_metrics, *model._compile_loss.metrics]
    return [metric for metric in model.metrics if all(metric is not known for known in compiled)]


def _draw_batches(model: Any, row_format: RowFormat) -> list[tuple[_Batch, _Batch]]:
    """Draw pairs of batches: of any numbers, then of classes and probabilities."""
    generator = np.random.default_rng(0)
    outputs = model.output_shape[1:]
    labels_are_classes = row_format.label_size != int(np.prod(outputs))
    classes = outputs[-1] if labels_are_classes else 2

    def batch(rows: int, *, any_numbers: bool) -> _Batch:
        labels: npt.NDArray[Any] = generator.integers(0, classes, (rows, row_format.label_size))
        predictions = generator.uniform(0.01, 0.99, (rows, *outputs))
        if any_numbers:
            predictions = generator.normal(0, 10, predictions.shape)
            if not labels_are_classes:
                labels = generator.normal(0, 10, labels.shape)
        features = np.zeros((rows, row_format.feature_size), row_format.feature_dtype)
        weights = generator.uniform(0.5, 2, rows).astype(row_format.dtype)
        _, y, weight = inputs_of_rows(model, row_format)(
            features, labels.astype(row_format.dtype), weights
        )
        return _Batch(y, _tensor(predictions, model.outputs[0].dtype), weight)

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
