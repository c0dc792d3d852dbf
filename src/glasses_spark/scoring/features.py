"""Features column: conversion of the accepted column types to arrays."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column, DataFrame
from pyspark.sql.types import ArrayType, BinaryType, DataType, IntegralType, NumericType

from glasses_spark.errors import DataError

Matrix = npt.NDArray[Any]

_ELEMENTS: Final = {"float32": "float", "float64": "double", "int64": "bigint"}


def transfer_dtype(input_dtype: str) -> str:
    """Return the type in which Arrow transfers numbers for a model's input without a loss.

    Args:
        input_dtype: NumPy type of the model's input.
    """
    if input_dtype == "float64":
        return input_dtype
    return "int64" if input_dtype.startswith(("int", "uint")) else "float32"


def features_column(frame: DataFrame, name: str, dtype: str) -> tuple[Column, str]:
    """Convert the features column to a type that Arrow transfers.

    Args:
        frame: The user's frame.
        name: Name of the features column: grey pixels (binary), a Spark ML vector or
            an array of numbers.
        dtype: Type from `transfer_dtype`. Numbers that are not whole are transferred as
            ``float64`` instead of ``int64``.

    Returns:
        The column, and the NumPy type of its numbers. Pixels remain uint8 up to the
        model, which saves three quarters or more of the space.

    Raises:
        DataError: The column is missing or has another type.
    """
    if name not in frame.columns:
        raise DataError(
            f"features column {name!r} not found, the columns are {', '.join(frame.columns)}. "
            "Set featuresCol to one of them"
        )
    column = frame[f"`{name}`"]
    kind = frame.schema[name].dataType
    if isinstance(kind, BinaryType):
        return column, "uint8"
    if is_vector(kind):
        dtype = "float64" if dtype == "int64" else dtype
        return vector_array(column, dtype), dtype
    if isinstance(kind, ArrayType) and isinstance(kind.elementType, NumericType):
        if dtype == "int64" and not isinstance(kind.elementType, IntegralType):
            dtype = "float64"
        return column.cast(f"array<{_ELEMENTS[dtype]}>"), dtype
    raise DataError(
        f"column {name!r}: expected pixels (binary), a Spark ML vector or an array of numbers, "
        f"got {kind.simpleString()}"
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
    """Convert a column of vectors to arrays of ``float32`` or ``float64``."""
    from pyspark.ml.functions import vector_to_array

    return vector_to_array(column, dtype)


def matrix(column: Any, size: int, name: str) -> Matrix:
    """View an Arrow column of binaries or lists of equal length as a matrix.

    Args:
        column: Arrow array of binaries (uint8) or of lists of numbers.
        size: Number of values in a row.
        name: Name of the column for error messages.

    Returns:
        Matrix ``(rows, size)``, which shares the memory of the column.

    Raises:
        DataError: A row is null or has another length.
    """
    if column.null_count:
        raise DataError(f"{name}: expected a value in every row, got {column.null_count} nulls")
    if not len(column):
        return np.zeros((0, size))
    offset_type = np.dtype(np.int64 if str(column.type).startswith("large") else np.int32)
    starts = np.frombuffer(
        column.buffers()[1],
        offset_type,
        count=len(column) + 1,
        offset=offset_type.itemsize * column.offset,
    )
    lengths = np.diff(starts)
    if (lengths != size).any():
        wrong = int(lengths[lengths != size][0])
        raise DataError(f"{name}: expected {size} numbers in every row, got {wrong}")
    if str(column.type).endswith("binary"):
        values = np.frombuffer(column.buffers()[2], np.uint8)[starts[0] : starts[-1]]
    else:
        values = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(column), size)
