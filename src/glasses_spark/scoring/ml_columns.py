"""ML columns: probabilities, raw predictions and predictions in the form of Spark ML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Self

from pyspark.ml.functions import array_to_vector
from pyspark.ml.param.shared import (
    HasPredictionCol,
    HasProbabilityCol,
    HasRawPredictionCol,
    HasThresholds,
)
from pyspark.sql import Column

from glasses_spark.errors import ScoringError
from glasses_spark.scoring.invalid_rows import HandlesInvalidRows, where_valid
from glasses_spark.scoring.ml_values import ML_COLUMNS, is_number
from glasses_spark.scoring.prediction_kind import LOGITS, NUMBERS, PROBABILITIES, PredictionKind
from glasses_spark.scoring.udf import REASON


class HasMLColumns(
    HasRawPredictionCol,
    HasProbabilityCol,
    HasPredictionCol,
    HasThresholds,
    HandlesInvalidRows,
):
    """Mixin: the columns of Spark ML's own classifiers and regressions, each if it has a name.

    - ``rawPredictionCol``: vector of a number for each class, whose sigmoid or softmax are the
      probabilities: of one sigmoid unit ``[-logit, logit]``, of a softmax the logarithms of the
      probabilities.
    - ``probabilityCol``: vector of the probability of each class; of one sigmoid unit ``[1 - p,
      p]``.
    - ``predictionCol``: the class, a double: the first one with the largest probability, divided
      by its threshold if there are ``thresholds``. Of a regression the number, or the vector of
      the numbers.
    """

    def set_raw_prediction_col(self, value: str) -> Self:
        """Set the column of raw predictions; an empty name means no such column."""
        return self._set(rawPredictionCol=value)

    def ml_columns(self) -> dict[str, str]:
        """Return the names of the columns by the names of their Params, without empty ones."""
        names = {param: str(self.getOrDefault(self.getParam(param))) for param in ML_COLUMNS}
        return {param: name for param, name in names.items() if name}

    def ml_params(self) -> dict[str, Any]:
        """Return the Params that are set, to pass them on or to save them."""
        thresholds = self.getOrDefault(self.thresholds) if self.isDefined(self.thresholds) else None
        params: dict[str, Any] = {
            **{name: self.getOrDefault(self.getParam(name)) for name in ML_COLUMNS},
            **self.invalid_params(),
        }
        return params if thresholds is None else {**params, "thresholds": list(thresholds)}

    def _set_ml_defaults(self) -> None:
        self._setDefault(**dict.fromkeys(ML_COLUMNS, ""))
        self._set_invalid_defaults()


def classes_of(kind: PredictionKind) -> int:
    """Return the number of classes; 0 for predictions of something else."""
    if kind.name not in (PROBABILITIES, LOGITS) or not kind.size:
        return 0
    return max(2, kind.size)


def require_ml_columns(
    kind: PredictionKind, columns: Sequence[str], thresholds: Sequence[float] | None
) -> None:
    """Refuse columns that predictions of this kind do not have.

    Args:
        kind: Meaning and number of the outputs.
        columns: Names of the Params whose columns are wanted.
        thresholds: A threshold for each class, or None.

    Raises:
        ScoringError: The model has no classes, or is neither a classifier nor a regression, or
            the thresholds are not those of its classes.
    """
    classes = classes_of(kind)
    for param in columns:
        if not classes and (param != "predictionCol" or kind.name != NUMBERS):
            wanted = "classes or numbers" if param == "predictionCol" else "classes"
            raise ScoringError(
                f"{param} needs a model that predicts {wanted}, found {kind.name or 'unknown'}, "
                f"{kind.size} for a row. Clear {param}, or tell what the outputs are with "
                "set_prediction_kind"
            )
    if thresholds is None:
        return
    legal = all(0 <= value < math.inf for value in thresholds) and thresholds.count(0) <= 1
    if len(thresholds) != classes or not legal:
        raise ScoringError(
            f"thresholds: expected a number of at least 0 for each of {classes} classes, at most "
            f"one of them 0, got {list(thresholds)}"
        )


def require_new_columns(existing: Sequence[str], added: Sequence[str]) -> None:
    """Refuse names of added columns that exist, or are the same.

    Raises:
        ScoringError: There is one; the message names it.
    """
    for index, name in enumerate(added):
        if name in existing or name in added[:index]:
            raise ScoringError(
                f"output column {name!r} exists already. Drop this column, or set outputCol, "
                f"{', '.join(ML_COLUMNS)} or invalidReasonCol to another name"
            )


def ml_column(param: str, kind: PredictionKind, name: str, scores: Column, handling: str) -> Column:
    """Return the column of a Param.

    Args:
        param: One of `ML_COLUMNS`.
        kind: Meaning and number of the outputs.
        name: Name of the column.
        scores: Column of the results of the UDF.
        handling: Value of ``handleInvalid``.
    """
    value = scores[param]
    if not is_number(kind, param):
        value = array_to_vector(value)
    return where_valid(value, scores[REASON], handling).alias(name)
