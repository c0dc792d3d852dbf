"""Rows: from the user's columns to Arrow, and from Arrow to what a worker's file holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, NumericType

from glasses_spark.errors import TrainingError
from glasses_spark.scoring.features import is_vector, matrix, vector_array
from glasses_spark.training.worker.spool import RowFormat, Rows

# Columns of the frame that goes to the workers.
FEATURES: Final = "features"
TARGET: Final = "target"
WEIGHT: Final = "weight"
VALIDATION: Final = "validation"
KEY: Final = "key"


@dataclass(frozen=True)
class LabelCode:
    """How a label becomes what the model's loss wants.

    Attributes:
        classes: Length of a one-hot row, or None for the label as it is.
        size: Numbers in a row's label after encoding.
    """

    classes: int | None
    size: int

    def encode(self, labels: Rows, dtype: str) -> Rows:
        """Encode labels ``(rows,)`` or ``(rows, size)``.

        Raises:
            TrainingError: A label is no class number, or not finite.
        """
        if not np.isfinite(labels).all():
            raise TrainingError("labels: expected finite numbers, got NaN or infinity")
        if self.classes is None:
            return labels.reshape(len(labels), self.size).astype(dtype)
        numbers = labels.reshape(len(labels)).astype(np.int64)
        wrong = (numbers != labels.reshape(len(labels))) | (numbers < 0)
        wrong |= numbers >= self.classes
        if wrong.any():
            raise TrainingError(
                f"labels: expected whole numbers from 0 to {self.classes - 1} "
                f"(categorical=True, nb_classes={self.classes}), got {labels[wrong].flat[0]:g}"
            )
        return np.eye(self.classes, dtype=dtype)[numbers]


def target_column(frame: DataFrame, name: str) -> Column:
    """Make the label column that Arrow carries, as an array of doubles.

    Raises:
        TrainingError: There is no such column, or it has another type.
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
    """Turn an Arrow record batch into rows as they lie in a worker's file.

    Args:
        batch: `pyarrow.RecordBatch` with the columns of this module.
        row_format: Form of a row.
        code: Encoding of the labels.

    Returns:
        Records ``(rows,)`` of ``row_format.record``.

    Raises:
        TrainingError: A row has no features or no label, or one of another
            length, or a weight that is none.
    """
    rows = np.zeros(batch.num_rows, row_format.record)
    rows["x"] = matrix(batch.column(FEATURES), row_format.feature_size, "features")
    labels = matrix(batch.column(TARGET), 1 if code.classes else code.size, "labels")
    rows["y"] = code.encode(labels, row_format.dtype)
    weights = batch.column(WEIGHT).to_numpy(zero_copy_only=False)
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise TrainingError("weights: expected finite numbers of at least 0 in every row")
    rows["weight"] = weights
    return rows
