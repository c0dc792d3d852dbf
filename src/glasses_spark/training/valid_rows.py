"""Valid rows: the rows that a fit can use, if ``handleInvalid`` lets it skip others."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from functools import reduce
from operator import and_

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from glasses_spark.scoring.features import STRING, features_columns
from glasses_spark.scoring.model_ports import InputPort
from glasses_spark.training.rows import target_column
from glasses_spark.training.settings import Columns

logger = logging.getLogger(__name__)


def valid_rows(frame: DataFrame, columns: Columns, ports: Sequence[InputPort]) -> DataFrame:
    """Select the rows whose features and labels a fit can use, and log how many are skipped.

    Features and labels must not be, nor contain, null, NaN or infinity, and the features must
    have the length of their input.

    Args:
        frame: The user's frame; it is read once to count the rows.
        columns: Its columns to use.
        ports: Inputs of the model.

    Returns:
        The valid rows, with all columns.

    Raises:
        DataError: A features column is missing or has another type than its input.
        TrainingError: A label column is missing or has a wrong type.
    """
    features, dtypes = features_columns(frame, columns.features, ports)
    valid = {
        name: _is_valid(column, dtype, port.size)
        for name, column, dtype, port in zip(columns.features, features, dtypes, ports, strict=True)
    }
    for label in filter(None, columns.labels):
        valid[label] = _is_valid(target_column(frame, label), "float64", None)
    is_valid = reduce(and_, valid.values())
    counts = frame.agg(
        F.count(F.lit(1)), F.count_if(~is_valid), *(F.count_if(~each) for each in valid.values())
    ).first()
    total, skipped, *by_column = counts or (0, 0)
    if skipped:
        numbered = zip(valid, by_column, strict=True)
        logger.warning(
            "%d of %d rows are skipped, because of null, NaN, infinity or another length in %s",
            skipped,
            total,
            ", ".join(f"{name!r} ({count} rows)" for name, count in numbered if count),
        )
    return frame.where(is_valid)


def _is_valid(column: Column, dtype: str, size: int | None) -> Column:
    """Return whether a row's value, a binary or an array from `features_column`, is valid."""
    if dtype == "uint8":
        return F.coalesce(F.length(column) == F.lit(size), F.lit(False))

    def is_invalid(value: Column) -> Column:
        if dtype in (STRING, "int64"):
            return value.isNull()
        return value.isNull() | F.isnan(value) | (F.abs(value) == math.inf)

    has_length = F.lit(True) if size is None else F.size(column) == size
    return F.coalesce(has_length & ~F.exists(column, is_invalid), F.lit(False))
