"""Rows: from the user's columns to Arrow, and from Arrow to a worker's file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, DataType, IntegralType, NumericType

from glasses_spark.columns import FEATURES
from glasses_spark.errors import TrainingError
from glasses_spark.runtime.frames import named_column
from glasses_spark.scoring.features import STRING, is_vector, matrix, vector_array
from glasses_spark.training.worker.spool import RowField, RowFormat, Rows, numbered
from glasses_spark.training.worker.texts import Texts

# Columns of the DataFrame that the workers read, besides FEATURES. Those of further inputs and
# outputs have numbers: features_1, target_1.
TARGET: Final = "target"
WEIGHT: Final = "weight"
VALIDATION: Final = "validation"
KEY: Final = "key"
WORKER: Final = "worker"


@dataclass(frozen=True)
class LabelCode:
    """Encoding of the labels of an output.

    Attributes:
        classes: Length of one-hot labels, or None for labels as they are.
        size: Numbers in a row's label after encoding.
    """

    classes: int | None
    size: int

    @property
    def size_before(self) -> int:
        """Numbers in a row's label before encoding."""
        return 1 if self.classes else self.size

    def encode(self, labels: Rows, dtype: str, name: str = "labels") -> Rows:
        """Encode labels ``(rows,)`` or ``(rows, size)``.

        Args:
            labels: The labels.
            dtype: NumPy type of the result.
            name: What messages call them.

        Raises:
            TrainingError: A label is not finite, or is not a class number.
        """
        if not np.isfinite(labels).all():
            raise TrainingError(f"{name}: expected finite numbers, got NaN or infinity")
        if self.classes is None:
            return labels.reshape(len(labels), self.size).astype(dtype)
        numbers = labels.reshape(len(labels)).astype(np.int64)
        is_wrong = (numbers != labels.reshape(len(labels))) | (numbers < 0)
        is_wrong |= numbers >= self.classes
        if is_wrong.any():
            raise TrainingError(
                f"{name}: expected whole numbers from 0 to {self.classes - 1} "
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
            f"labels: expected a column {name!r}, got the columns {', '.join(frame.columns)}. Set "
            "labelCol to one of them"
        )
    column = named_column(frame, name, "label", "labelCol", TrainingError)
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


def label_length(frame: DataFrame, name: str) -> int:
    """Return the length of the labels of a column: 1 for numbers, else that of its first row."""
    if isinstance(frame.schema[name].dataType, NumericType):
        return 1
    first = frame.select(F.size(target_column(frame, name))).first()
    return max(1, first[0]) if first else 1


def label_dtype(frame: DataFrame, name: str, dtype: str) -> str:
    """Return the type of class numbers: int64 for a column of whole numbers, else ``dtype``."""
    kind: DataType = frame.schema[name].dataType
    element = kind.elementType if isinstance(kind, ArrayType) else kind
    return "int64" if isinstance(element, IntegralType) else dtype


def records(batch: Any, row_format: RowFormat, codes: Sequence[LabelCode], texts: Texts) -> Rows:
    """Convert an Arrow record batch to rows of a worker's file.

    Args:
        batch: `pyarrow.RecordBatch` with the columns of this module.
        row_format: Format of a row.
        codes: Encoding of the labels of each output.
        texts: Takes the strings.

    Returns:
        Records ``(rows,)`` of ``row_format.record``.

    Raises:
        TrainingError: A label or a weight is not legal.
        DataError: Features or label of a row are missing, or have another length.
    """
    rows = np.zeros(batch.num_rows, row_format.record)
    for number, (name, field) in enumerate(row_format.named_features()):
        rows[name] = _features(batch.column(numbered(FEATURES, number)), field, texts)
    for number, (name, field) in enumerate(row_format.named_labels()):
        if field.size:
            column, code = batch.column(numbered(TARGET, number)), codes[number]
            labels = matrix(column, code.size_before, field.name)
            rows[name] = code.encode(labels, field.dtype, field.name)
    weights = batch.column(WEIGHT).to_numpy(zero_copy_only=False)
    if not (np.isfinite(weights) & (weights >= 0)).all():
        raise TrainingError("weights: expected a finite number >= 0 in every row")
    rows["weight"] = weights
    return rows


def _features(column: Any, field: RowField, texts: Texts) -> Rows:
    if field.dtype == STRING:
        return texts.append(column, field.size, field.name)
    return matrix(column, field.size, field.name)
