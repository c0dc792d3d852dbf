"""Output settings: the loss, the metrics and the label column of each output of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from glasses_spark.errors import ConfigError
from glasses_spark.scoring.named_columns import ColumnNames, columns_in_order, listed
from glasses_spark.training.keras_objects import KerasObject, is_serialized
from glasses_spark.training.output_kind import CLASS_NUMBERS, KERAS_LOSSES, loss_function


def losses_by_output(loss: Any, names: Sequence[str]) -> list[Any]:
    """Return the loss of each output, as Keras reads the argument of ``compile``.

    Args:
        loss: A loss, which each output gets, or a list or mapping of losses; None for an output
            without.
        names: Names of the outputs.

    Raises:
        ConfigError: A list has another length, or a mapping other names.
    """
    if isinstance(loss, list | tuple):
        _require_length("loss", loss, names)
        return list(loss)
    if isinstance(loss, Mapping) and not is_serialized(loss):
        _require_names("loss", loss, names)
        if missing := [name for name in names if name not in loss]:
            raise ConfigError(
                f"loss: expected one for each of the outputs {listed(names)}, found none for "
                f"{listed(missing)}. None is an output without a loss"
            )
        return [loss[name] for name in names]
    return [loss] * len(names)


def metrics_by_output(metrics: Any, names: Sequence[str], what: str = "metrics") -> list[Any]:
    """Return the metrics of each output, as Keras reads the argument of ``compile``.

    Args:
        metrics: A list of metrics of the one output; of several outputs a list or mapping of
            metrics or lists of them.
        names: Names of the outputs.
        what: ``metrics`` or ``weighted_metrics``, for messages.

    Raises:
        ConfigError: A list has another length, or a mapping other names.
    """
    if len(names) == 1 or not metrics:
        return [metrics or None] * len(names)
    if isinstance(metrics, Mapping):
        _require_names(what, metrics, names)
        return [metrics.get(name) for name in names]
    _require_length(what, metrics, names)
    return list(metrics)


def require_loss_weights(weights: Any, loss: Any, names: Sequence[str]) -> None:
    """Refuse loss weights that Keras would not read as one for each loss.

    Raises:
        ConfigError: There are other names, or another number.
    """
    if weights is None or isinstance(weights, float):
        return
    if len(names) > 1 and (not isinstance(loss, list | tuple | Mapping) or is_serialized(loss)):
        raise ConfigError(
            "loss_weights: expected a list or mapping of losses beside it, found one loss of the "
            f"outputs {listed(names)}. Give each output its loss"
        )
    if isinstance(weights, Mapping):
        _require_names("loss_weights", weights, names)
    if len(weights) != len(names):
        raise ConfigError(
            f"loss_weights: expected {len(names)}, for the outputs {listed(names)}, got "
            f"{len(weights)}"
        )


def require_one_output(
    names: Sequence[str],
    *,
    ml_settings: Sequence[str],
    class_weight: Mapping[str, float],
    categorical: bool,
) -> None:
    """Refuse settings that only a model with one output can have.

    Args:
        names: Names of the outputs.
        ml_settings: Settings of `HasMLColumns` that are set.
        class_weight: Weights of labels. Keras refuses them, too.
        categorical: Whether labels are encoded as one-hot rows.

    Raises:
        ConfigError: One of them is set, and there are several outputs.
    """
    for setting, value, advice in (
        *((name, True, f"Clear {name}") for name in ml_settings),
        ("class_weight", class_weight, "Use weightCol"),
        (
            "categorical=True",
            categorical,
            "Use categorical=False with a sparse loss, or labels that are one-hot arrays",
        ),
    ):
        if value and len(names) > 1:
            raise ConfigError(
                f"{setting} needs a model with one output, found {listed(names)}. {advice}"
            )


def label_columns(value: ColumnNames, names: Sequence[str], needed: Sequence[bool]) -> Any:
    """Return the label column of each output; None for an output without.

    Args:
        value: Value of ``labelCol``. One column is that of the one output with a loss or
            metrics.
        names: Names of the outputs.
        needed: Whether each output has a loss or metrics.

    Raises:
        ConfigError: An output that needs a column has none.
    """
    if isinstance(value, str) and sum(needed) == 1:
        return tuple(value if is_needed else None for is_needed in needed)
    if isinstance(value, Mapping):
        without = {
            name: None for name, is_needed in zip(names, needed, strict=True) if not is_needed
        }
        value = {**without, **value}
    columns = columns_in_order(value, names, "labelCol", "outputs")
    for name, column, is_needed in zip(names, columns, needed, strict=True):
        if is_needed and column is None:
            raise ConfigError(
                f"labelCol: expected a column for the output {name!r}, which has a loss or "
                "metrics, got None"
            )
    return columns


def is_sparse(loss: Any) -> bool:
    """Return whether the label of a row is a class number to a loss."""
    built = loss.build() if isinstance(loss, KerasObject) else loss
    names = [
        *(base.__name__ for base in type(built).__mro__),
        loss.get("class_name", "") if isinstance(loss, Mapping) else "",
        loss_function(built)[0],
    ]
    return names[-1] in CLASS_NUMBERS or any("sparse" in name.lower() for name in names)


def label_size(loss: Any, shape: Sequence[int]) -> int | None:
    """Return the length of a row's label: that of the output, or of its class numbers.

    Args:
        loss: Loss of the output.
        shape: Shape of the output without the batch dimension.

    Returns:
        The length; None for a loss that takes labels of any length, such as CTC or one of the
        user's own.
    """
    if is_sparse(loss):
        return int(np.prod(shape[:-1]))
    built = loss.build() if isinstance(loss, KerasObject) else loss
    name = loss_function(built)[0]
    if name == "ctc" or (name not in KERAS_LOSSES and built is not None):
        return None
    return int(np.prod(shape))


def _require_names(what: str, value: Mapping[str, Any], names: Sequence[str]) -> None:
    if unknown := [name for name in value if name not in names]:
        raise ConfigError(
            f"{what}: found {listed(unknown)}, the outputs of the model are {listed(names)}"
        )


def _require_length(what: str, value: Sequence[Any], names: Sequence[str]) -> None:
    if len(value) != len(names):
        raise ConfigError(
            f"{what}: expected {len(names)}, for the outputs {listed(names)}, got {len(value)}. "
            "Use a list or mapping with one for each output"
        )
