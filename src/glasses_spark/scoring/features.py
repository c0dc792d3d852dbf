"""Features: the user's column, as the model takes it, whatever its type."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column, DataFrame
from pyspark.sql.types import ArrayType, BinaryType, DataType, NumericType

from glasses_spark.errors import DataError

Matrix = npt.NDArray[Any]


def features_column(frame: DataFrame, name: str, dtype: str) -> tuple[Column, str]:
    """Make the features column that Arrow carries.

    Args:
        frame: The user's frame.
        name: Its column of features: grey pixels (binary), a Spark ML vector,
            or an array of numbers.
        dtype: Floating-point type of the model's input.

    Returns:
        The column, and the type of its numbers in a worker's file: pixels stay
        uint8 up to the model, an eighth or a quarter of the size.

    Raises:
        DataError: There is no such column, or it has another type.
    """
    if name not in frame.columns:
        raise DataError(
            f"features: expected a column {name!r}, got the columns {', '.join(frame.columns)}"
        )
    column = frame[f"`{name}`"]
    kind = frame.schema[name].dataType
    if isinstance(kind, BinaryType):
        return column, "uint8"
    if is_vector(kind):
        return vector_array(column, dtype), dtype
    if isinstance(kind, ArrayType) and isinstance(kind.elementType, NumericType):
        element = "double" if dtype == "float64" else "float"
        return column.cast(f"array<{element}>"), dtype
    raise DataError(
        f"column {name!r}: expected pixels (binary), a Spark ML vector or an array of numbers, "
        f"got {kind.simpleString()}"
    )


def is_vector(kind: DataType) -> bool:
    """Whether a column's type is that of Spark ML's vectors or of the older MLlib's.

    Elephas' own adapters make the latter.
    """
    # Imported here, and below: `matrix` serves workers, which do without Spark ML.
    from pyspark.ml.linalg import VectorUDT
    from pyspark.mllib.linalg import VectorUDT as MLlibVectorUDT

    return isinstance(kind, (VectorUDT, MLlibVectorUDT))


def vector_array(column: Column, dtype: str) -> Column:
    """Make arrays of ``float32`` or ``float64`` of a column of vectors."""
    from pyspark.ml.functions import vector_to_array

    return vector_to_array(column, dtype)


def matrix(column: Any, size: int, what: str) -> Matrix:
    """View an Arrow column of equally long binaries or lists as ``(rows, size)``.

    Raises:
        DataError: A row is null or has another length.
    """
    if column.null_count:
        raise DataError(f"{what}: expected a value in every row, got {column.null_count} nulls")
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
        raise DataError(f"{what}: expected {size} numbers in every row, got {wrong}")
    if str(column.type).endswith("binary"):
        values = np.frombuffer(column.buffers()[2], np.uint8)[starts[0] : starts[-1]]
    else:
        values = column.flatten().to_numpy(zero_copy_only=False)
    return values.reshape(len(column), size)
