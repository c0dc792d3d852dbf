"""ML columns: probabilities, raw predictions and predictions in the form of Spark ML."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from pyspark.ml.functions import array_to_vector
from pyspark.ml.param.shared import (
    HasPredictionCol,
    HasProbabilityCol,
    HasRawPredictionCol,
    HasThresholds,
)
from pyspark.sql import Column
from pyspark.sql import functions as F

from glasses_spark.errors import ScoringError
from glasses_spark.scoring.prediction_kind import LOGITS, NUMBERS, PROBABILITIES, PredictionKind

# The names of the Params, in the order in which `transform` adds their columns.
ML_COLUMNS: Final = ("rawPredictionCol", "probabilityCol", "predictionCol")

# Probabilities of which the logarithm is taken are not 0: Spark has null there.
_SMALLEST: Final = sys.float_info.min


class HasMLColumns(HasRawPredictionCol, HasProbabilityCol, HasPredictionCol, HasThresholds):
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
            name: self.getOrDefault(self.getParam(name)) for name in ML_COLUMNS
        }
        return params if thresholds is None else {**params, "thresholds": list(thresholds)}

    def _set_ml_defaults(self) -> None:
        self._setDefault(**dict.fromkeys(ML_COLUMNS, ""))


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
                f"{', '.join(ML_COLUMNS[:-1])} or {ML_COLUMNS[-1]} to another name"
            )


def ml_column(
    param: str,
    kind: PredictionKind,
    values: Column,
    logit: Column | None,
    thresholds: Sequence[float] | None = None,
) -> Column:
    """Return the column of a Param, from the outputs of a model.

    Args:
        param: One of `ML_COLUMNS`, of those that `require_ml_columns` accepts.
        kind: Meaning and number of the outputs.
        values: The outputs: a double for one number, else an array<double>.
        logit: Logit of the one probability, if it was computed; exact where the probability
            is rounded to 1.
        thresholds: A threshold for each class, or None.
    """
    if kind.name == NUMBERS:
        return values if kind.size == 1 else array_to_vector(values)
    if param == "rawPredictionCol":
        return array_to_vector(_raw(kind, values, logit))
    probabilities = _probabilities(kind, values)
    if param == "probabilityCol":
        return array_to_vector(probabilities)
    if thresholds is not None:
        limits = F.array(*map(F.lit, thresholds))
        # A class with the threshold 0 is taken wherever it has any probability.
        probabilities = F.zip_with(
            probabilities,
            limits,
            lambda p, t: F.when(t > 0, p / F.when(t > 0, t)).otherwise(
                F.when(p > 0, F.lit(math.inf)).otherwise(F.lit(0.0))
            ),
        )
    return F.array_position(probabilities, F.array_max(probabilities)).cast("double") - 1


def ml_value(
    param: str,
    kind: PredictionKind,
    values: npt.NDArray[np.float64],
    thresholds: Sequence[float] | None = None,
) -> npt.NDArray[np.float64]:
    """Return what `ml_column` has in a row, computed in this process.

    Args:
        param: One of `ML_COLUMNS`.
        kind: Meaning and number of the outputs.
        values: The outputs of the model for the row, ``(size,)``.
        thresholds: A threshold for each class, or None.

    Returns:
        A number for each class, or the class, or the numbers of a regression.
    """
    if kind.name == NUMBERS:
        return values
    if kind.name == LOGITS:
        raw = np.array([-values[0], values[0]]) if kind.size == 1 else values
        # The softmax of [-z, z] would be the sigmoid of 2 z.
        powers = np.exp((raw - raw.max()) * (0.5 if kind.size == 1 else 1.0))
        probabilities = powers / powers.sum()
    else:
        probabilities = np.array([1 - values[0], values[0]]) if kind.size == 1 else values
        raw = np.log(np.maximum(probabilities, _SMALLEST))
        if kind.size == 1:
            raw = np.array([raw[0] - raw[1], raw[1] - raw[0]])
    if param == "rawPredictionCol":
        return np.asarray(raw)
    if param == "probabilityCol":
        return np.asarray(probabilities)
    if thresholds is not None:
        limits = np.asarray(thresholds, np.float64)
        infinite = np.where(probabilities > 0, np.inf, 0.0)
        divided = probabilities / np.where(limits > 0, limits, 1.0)
        probabilities = np.where(limits > 0, divided, infinite)
    return np.array([float(np.argmax(probabilities))])


def _raw(kind: PredictionKind, values: Column, logit: Column | None) -> Column:
    if kind.name == LOGITS:
        return F.array(-_only(values), _only(values)) if kind.size == 1 else values
    if kind.size > 1:
        return F.transform(values, lambda p: F.log(F.greatest(p, F.lit(_SMALLEST))))
    if logit is None:
        p = F.least(F.greatest(_only(values), F.lit(_SMALLEST)), F.lit(1 - sys.float_info.epsilon))
        logit = F.log(p) - F.log1p(-p)
    return F.array(-logit, logit)


def _probabilities(kind: PredictionKind, values: Column) -> Column:
    if kind.name == PROBABILITIES:
        return F.array(1 - _only(values), _only(values)) if kind.size == 1 else values
    if kind.size == 1:
        logit = _only(values)
        return F.array(1 / (1 + F.exp(logit)), 1 / (1 + F.exp(-logit)))
    # Less the largest one, so that no exponential is infinite.
    powers = F.transform(values, lambda x: F.exp(x - F.array_max(values)))
    total = F.aggregate(powers, F.lit(0.0), lambda a, b: a + b)
    return F.transform(powers, lambda power: power / total)


def _only(values: Column) -> Column:
    return F.get(values, F.lit(0))
