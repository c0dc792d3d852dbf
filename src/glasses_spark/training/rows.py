"""Rows: from the user's columns to Arrow, and from Arrow to a worker's file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, NumericType

from glasses_spark.columns import FEATURES
from glasses_spark.errors import TrainingError
from glasses_spark.scoring.features import is_vector, matrix, vector_array
from glasses_spark.training.worker.spool import RowFormat, Rows

# Columns of the DataFrame that the workers read, besides FEATURES.
TARGET: Final = "target"
WEIGHT: Final = "weight"
VALIDATION: Final = "validation"
KEY: Final = "key"


@dataclass(frozen=True)
class LabelCode:
    """Encoding of the labels.

    Attributes:
        classes: Length of one-hot labels, or None for labels as they are.
        size: Numbers in a row's label after encoding.
    """

    classes: int | None
    size: int

    def encode(self, labels: Rows, dtype: str) -> Rows:
        """Encode labels ``(rows,)`` or ``(rows, size)``.

        Raises:
            TrainingError: A label is not finite, or is not a class number.
        """
        if not np.isfinite(labels).all():
            raise TrainingError("labels: expected finite numbers, got NaN or infinity")
        if self.classes is None:
            return labels.reshape(len(labels), self.size).astype(dtype)
        numbers = labels.reshape(len(labels)).astype(np.int64)
        is_wrong = (numbers != labels.reshape(len(labels))) | (numbers < 0)
        is_wrong |= numbers >= self.classes
        if is_wrong.any():
            raise TrainingError(
                f"labels: expected whole numbers from 0 to {self.classes - 1} "
                f"(categorical=True, nb_classes={self.classes}), got {labels[is_wrong].flat[0]:g}"
            )
        return np.eye(self.classes, dtype=dtype)[numbers]


def target_column(frame: DataFrame, name: str) -> Column:
    """Return the label column as an array of doubles, for Arrow.

    Raises:
        TrainingError: The column is missing, or is neither a number, a Spark ML vector
            nor an array of numbers.
    """
    if name not in frame.columns:
        raise TrainingError(
            f"labels: expected a column {name!r}, got the columns {', '.join(frame.columns)}"
        )
    column = frame[f"`{name}`"]
    kind = frame.schema[name].dataType
    if isinstance(kind, NumericType):
        return F.array(column.cast("double"))
    if is_vector(kind):
        return vector_array(column, "float64")
    if isinstance(kind, ArrayType) and isinstance(kind.elementType, NumericType):
        return column.cast("array<double>")
    raise TrainingError(
        f"column {name!r}: expected a number, a Spark ML vector or an array of numbers, "
        f"got {kind.simpleString()}"
    )


def records(batch: Any, row_format: RowFormat, code: LabelCode) -> Rows:
    """Convert an Arrow record batch to rows of a worker's file.

    Args:
        batch: `pyarrow.RecordBatch` with the columns of this module.
        row_format: Format of a row.
        code: Encoding of the labels.

    Returns:
        Records ``(rows,)`` of ``row_format.record``.

    Raises:
        TrainingError: A label or a weight is not legal.
        DataError: Features or label of a row are missing, or have another length.
    """
    rows = np.zeros(batch.num_rows, row_format.record)
    rows["x"] = matrix(batch.column(FEATURES), row_format.feature_size, FEATURES)
    labels = matrix(batch.column(TARGET), 1 if code.classes else code.size, "labels")
    rows["y"] = code.encode(labels, row_format.dtype)
    weights = batch.column(WEIGHT).to_numpy(zero_copy_only=False)
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise TrainingError("weights: expected a finite number >= 0 in every row")
    rows["weight"] = weights
    return rows
