"""Metrics of a regression with one output."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import LABEL, PREDICTION
from glasses_spark.errors import ScoringError
from glasses_spark.evaluation.summary import metric_lines
from glasses_spark.evaluation.task import LARGEST


@dataclass(frozen=True, kw_only=True)
class RegressionMetrics:
    """Metrics of predicted numbers.

    Attributes:
        rows: Number of rows, at least 1.
        rmse: Square root of the mean squared difference of prediction and label.
        mae: Mean absolute difference.
        r2: 1 minus the sum of the squared differences, divided by that of the mean label;
            None if all labels are the same.
    """

    rows: int
    rmse: float
    mae: float
    r2: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return the metrics by name, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return metric_lines(self.as_dict())


def regression_metrics(predictions: DataFrame) -> RegressionMetrics:
    """Compute the metrics of a regression, in one Spark job.

    Args:
        predictions: ``label`` and ``prediction``, a finite number each.

    Raises:
        ScoringError: There are no rows, or a label or a prediction is null, NaN or infinite.
    """
    y, p = F.col(LABEL).cast("double"), F.col(PREDICTION).cast("double")
    usable = {"labels": y.between(-LARGEST, LARGEST), "predictions": p.between(-LARGEST, LARGEST)}
    row = predictions.select(
        F.count("*").alias("rows"),
        F.avg((p - y) * (p - y)).alias("squared"),
        F.avg(F.abs(p - y)).alias("absolute"),
        F.var_pop(y).alias("variance"),
        F.min(y).alias("lowest"),
        F.max(y).alias("highest"),
        *(F.count_if(~F.coalesce(good, F.lit(False))).alias(of) for of, good in usable.items()),
    ).head()
    assert row is not None  # an aggregation has one row
    if row.rows == 0:
        raise ScoringError("cannot evaluate: expected at least one prediction, found none")
    for name in usable:
        if row[name]:
            raise ScoringError(
                f"cannot evaluate: expected all {name} finite, found {row[name]} of {row.rows} "
                "null, NaN or infinite"
            )
    return RegressionMetrics(
        rows=row.rows,
        rmse=math.sqrt(row.squared),
        mae=row.absolute,
        r2=None if row.lowest == row.highest else 1 - row.squared / row.variance,
    )
