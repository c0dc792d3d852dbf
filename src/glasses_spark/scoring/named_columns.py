"""Named columns: the columns of a model's inputs, labels and predictions, as Params.

A Param is one column name, a list in the order of the model's inputs or outputs, or a mapping
from their names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.ml.param import Param, Params

from glasses_spark.errors import ConfigError

# As users give it, and as Spark ML saves it.
ColumnNames = str | Sequence[str | None] | Mapping[str, str | None]


def column_names(value: Any) -> Any:
    """Return the value of such a Param in a form that can be saved as JSON.

    Raises:
        TypeError: It is neither a string, nor a list or mapping of strings.
    """
    if isinstance(value, str):
        return str(value)
    if isinstance(value, list | tuple) and _are_names(value):
        return list(value)
    if isinstance(value, Mapping) and _are_names([*value.values()]) and _are_names([*value]):
        return dict(value)
    raise TypeError(
        f"expected a column name, a list of column names or a mapping to them, got {value!r}"
    )


class HasNamedColumns(Params):
    """Mixin: Spark ML's column Params, which also take a list or a mapping."""

    featuresCol: Param[Any] = Param(
        Params._dummy(), "featuresCol", "column, or columns by input, of features", column_names
    )
    labelCol: Param[Any] = Param(
        Params._dummy(), "labelCol", "column, or columns by output, of labels", column_names
    )
    outputCol: Param[Any] = Param(
        Params._dummy(), "outputCol", "column, or columns by output, of predictions", column_names
    )


def listed(names: ColumnNames) -> str:
    """Return column names, or names of inputs or outputs, as text."""
    if isinstance(names, str):
        return names
    return ", ".join(map(str, names.values() if isinstance(names, Mapping) else names))


def columns_in_order(
    value: ColumnNames, names: Sequence[str], param: str, ports: str
) -> tuple[str | None, ...]:
    """Return the column of each input or output.

    Args:
        value: Value of the Param.
        names: Names of the inputs or outputs in the order of the model.
        param: Name of the Param, for messages.
        ports: ``inputs`` or ``outputs``, for messages.

    Raises:
        ConfigError: A list has another length, or a mapping other names.
    """
    if isinstance(value, str):
        if len(names) == 1:
            return (value,)
        raise ConfigError(
            f"{param}: expected a column for each of the {ports} {listed(names)}, got one column "
            f"{value!r}. Use a list or a mapping"
        )
    if isinstance(value, Mapping):
        return _of_mapping(value, names, param, ports)
    if len(value) != len(names):
        raise ConfigError(
            f"{param}: expected {len(names)} columns, for the {ports} {listed(names)}, got "
            f"{len(value)}: {listed(value)}"
        )
    return tuple(value)


def input_columns(value: ColumnNames, names: Sequence[str]) -> tuple[str, ...]:
    """Return the column of each input's features.

    Args:
        value: Value of ``featuresCol``.
        names: Names of the inputs.

    Raises:
        ConfigError: An input has no column, or an input of the value is not in the model.
    """
    columns = columns_in_order(value, names, "featuresCol", "inputs")
    if missing := [name for name, column in zip(names, columns, strict=True) if column is None]:
        raise ConfigError(f"featuresCol: found no column for the inputs {listed(missing)}")
    return tuple(map(str, columns))


def prediction_columns(value: ColumnNames, names: Sequence[str]) -> tuple[str, ...]:
    """Return the column of each output's predictions.

    One name stands for itself if there is one output. If there are several it is the first
    part of their names: ``prediction_price`` and ``prediction_kind``.

    Args:
        value: Value of ``outputCol``.
        names: Names of the outputs.

    Raises:
        ConfigError: An output has no column, or two outputs have the same one.
    """
    if isinstance(value, str) and len(names) > 1:
        value = [f"{value}_{name}" for name in names]
    columns = columns_in_order(value, names, "outputCol", "outputs")
    if None in columns or len(set(columns)) < len(columns):
        raise ConfigError(
            f"outputCol: expected another column for each of the outputs {listed(names)}, got "
            f"{listed(columns)}"
        )
    return tuple(str(column) for column in columns)


def _of_mapping(
    value: Mapping[str, str | None], names: Sequence[str], param: str, ports: str
) -> tuple[str | None, ...]:
    if unknown := [name for name in value if name not in names]:
        raise ConfigError(
            f"{param}: found {listed(unknown)}, the {ports} of the model are {listed(names)}"
        )
    if missing := [name for name in names if name not in value]:
        raise ConfigError(
            f"{param}: expected a column for each of the {ports} {listed(names)}, found none for "
            f"{listed(missing)}"
        )
    if len(set(names)) < len(names):
        raise ConfigError(
            f"{param}: the {ports} {listed(names)} have no names of their own. Use a list"
        )
    return tuple(value[name] for name in names)


def _are_names(values: Sequence[Any]) -> bool:
    return all(value is None or isinstance(value, str) for value in values)
