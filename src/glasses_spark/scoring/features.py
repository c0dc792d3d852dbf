"""Features columns: conversion of the accepted column types to arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    IntegralType,
    NumericType,
    StringType,
)

from glasses_spark.errors import DataError
from glasses_spark.runtime.frames import named_column
from glasses_spark.scoring.model_ports import InputPort

Matrix = npt.NDArray[Any]

STRING: Final = "string"

_ELEMENTS: Final = {"float32": "float", "float64": "double", "int64": "bigint", STRING: STRING}


def transfer_dtype(input_dtype: str) -> str:
    """Return the type in which Arrow transfers values for a model's input without a loss.

    Args:
        input_dtype: NumPy type of the model's input, or ``string``.
    """
    if input_dtype in ("float64", STRING):
        return input_dtype
    return "int64" if input_dtype.startswith(("int", "uint")) else "float32"


def features_columns(
    frame: DataFrame, names: Sequence[str], ports: Sequence[InputPort]
) -> tuple[tuple[Column, ...], tuple[str, ...]]:
    """Convert the features column of each input of a model; see `features_column`.

    Args:
        frame: The user's frame.
        names: Name of each input's column.
        ports: The inputs.

    Returns:
        The columns, and the NumPy types of their values.

    Raises:
        DataError: A column is missing or has another type than its input.
    """
    converted = [
        features_column(
            frame,
            name,
            transfer_dtype(port.dtype),
            size=port.size,
            input_name=port.name if len(ports) > 1 else "",
        )
        for name, port in zip(names, ports, strict=True)
    ]
    return tuple(column for column, _ in converted), tuple(dtype for _, dtype in converted)


def features_column(
    frame: DataFrame, name: str, dtype: str, *, size: int | None = None, input_name: str = ""
) -> tuple[Column, str]:
    """Convert the features column of an input to a type that Arrow transfers.

    Args:
        frame: The user's frame.
        name: Name of the features column: grey pixels (binary), a Spark ML vector, an array
            of numbers or, for one value in a row, a number. For an input of strings, a
            string or an array of strings.
        dtype: Type from `transfer_dtype`. Numbers that are not whole are transferred as
            ``float64`` instead of ``int64``.
        size: Number of values in a row of the input; None if unknown.
        input_name: Name of the input for messages, of a model with several.

    Returns:
        The column of binaries or arrays, and the NumPy type of its values, or ``string``.
        Pixels remain uint8 up to the model, which saves three quarters or more of the space.
        An array of whole numbers with a null in it is null.

    Raises:
        DataError: The column is missing or has another type.
    """
    column = named_column(frame, name, "features", "featuresCol")
    kind = frame.schema[name].dataType
    element = kind.elementType if isinstance(kind, ArrayType) else kind
    if dtype == STRING:
        is_value = isinstance(element, StringType)
    else:
        is_value = isinstance(element, NumericType)
        if isinstance(kind, BinaryType):
            return column, "uint8"
        if dtype == "int64" and not isinstance(element, IntegralType):
            dtype = "float64"
        if is_vector(kind):
            return vector_array(column, dtype), dtype
    if not is_value or (element is kind and size not in (1, None)):
        where = f" for the input {input_name!r}" if input_name else ""
        raise DataError(
            f"column {name!r}: expected {_wanted(dtype, size)}{where}, got {kind.simpleString()}"
        )
    if element is kind:
        # Not an array of null: a missing value is one in any type.
        column = F.when(column.isNotNull(), F.array(column))
    column = column.cast(f"array<{_ELEMENTS[dtype]}>")
    if dtype == "int64" and isinstance(kind, ArrayType) and kind.containsNull:
        # Arrow and pandas make floating-point numbers of whole numbers beside a null, so a row
        # with a null in it would round those of others.
        column = F.when(~F.exists(column, lambda value: value.isNull()), column)
    return column, dtype


def _wanted(dtype: str, size: int | None) -> str:
    is_one = size in (1, None)
    if dtype == STRING:
        return "a string or an array of strings" if is_one else f"an array of {size} strings"
    return "pixels (binary), a Spark ML vector, " + (
        "an array of numbers or a number" if is_one else f"or an array of {size} numbers"
    )


def is_vector(kind: DataType) -> bool:
    """Return whether a column's type is a vector of Spark ML or of the older MLlib.

    Elephas' own adapters make vectors of MLlib.
    """
    # Imported here and below because workers use `matrix` without Spark ML.
    from pyspark.ml.linalg import VectorUDT
    from pyspark.mllib.linalg import VectorUDT as MLlibVectorUDT

    return isinstance(kind, (VectorUDT, MLlibVectorUDT))


def vector_array(column: Column, dtype: str) -> Column:
    """Convert a column of vectors to arrays of ``float32`` or ``float64``; null remains null."""
    from pyspark.ml.functions import vector_to_array

    return F.when(column.isNotNull(), vector_to_array(column, dtype))


def matrix(column: Any, size: int, name: str) -> Matrix:
    """View an Arrow column of binaries or lists of equal length as a matrix.

    Args:
        column: Arrow array of binaries (uint8) or of lists of numbers.
        size: Number of values in a row.
        name: Name of the column for error messages.

    Returns:
        Matrix ``(rows, size)``, which shares the memory of the column.

    Raises:
        DataError: A row is null or has another length, or a value is null.
    """
    starts = row_starts(column, size, name)
    if not len(column):
        return np.zeros((0, size))
    if str(column.type).endswith("binary"):
        values = np.frombuffer(column.buffers()[2], np.uint8)[starts[0] : starts[-1]]
    else:
        values = flat_values(column, name).to_numpy(zero_copy_only=False)
    return values.reshape(len(column), size)


def row_starts(column: Any, size: int, name: str) -> npt.NDArray[Any]:
    """Return where each row of an Arrow column starts in its values, and where the last ends.

    Args:
        column: Arrow array of binaries, strings or lists.
        size: Number of values that each row must have; -1 for any.
        name: Name of the column for error messages.

    Raises:
        DataError: A row is null or has another length.
    """
    if column.null_count:
        raise DataError(f"{name}: expected a value in every row, got {column.null_count} nulls")
    if not len(column):
        return np.zeros(1, np.int32)
    offset_type = np.dtype(np.int64 if str(column.type).startswith("large") else np.int32)
    starts = np.frombuffer(
        column.buffers()[1],
        offset_type,
        count=len(column) + 1,
        offset=offset_type.itemsize * column.offset,
    )
    lengths = np.diff(starts)
    if size >= 0 and (lengths != size).any():
        wrong = int(lengths[lengths != size][0])
        unit = "strings" if "string" in str(column.type) else "numbers"
        raise DataError(f"{name}: expected {size} {unit} in every row, got {wrong}")
    return starts


def flat_values(column: Any, name: str) -> Any:
    """Return the values of an Arrow column of lists in one Arrow array.

    Raises:
        DataError: A value is null.
    """
    values = column.flatten()
    if values.null_count:
        raise DataError(f"{name}: expected a value in every row, got {values.null_count} nulls")
    return values
