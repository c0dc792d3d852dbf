"""ML values: raw predictions, probabilities and predictions of classes, from a model's outputs.

Each worker imports this module, so it imports neither Elephas nor Spark ML.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from glasses_spark.scoring.prediction_kind import LOGITS, NUMBERS, PROBABILITIES, PredictionKind

Values = npt.NDArray[np.float64]

# Names of the Params whose columns these are, in the order in which `transform` adds them.
ML_COLUMNS: Final = ("rawPredictionCol", "probabilityCol", "predictionCol")

# Probabilities of which the logarithm is taken are not 0, so that it is finite.
_SMALLEST: Final = sys.float_info.min


def needs_logits(param: str, kind: PredictionKind) -> bool:
    """Return whether the values of a Param come from the logit of one probability.

    A probability that is rounded to 0 or 1 does not determine it.
    """
    return param == "rawPredictionCol" and kind == PredictionKind(PROBABILITIES, 1)


def is_number(kind: PredictionKind, param: str = "") -> bool:
    """Return whether a value of an output, or of the column of a Param, is one number."""
    is_class = param == "predictionCol" and kind.name != NUMBERS
    return is_class or kind == PredictionKind(NUMBERS, 1)


def ml_values(
    param: str,
    kind: PredictionKind,
    outputs: Values,
    logits: Values,
    thresholds: Sequence[float] | None = None,
) -> Values:
    """Return the values of the column of a Param.

    Args:
        param: One of `ML_COLUMNS`, of those that `require_ml_columns` accepts.
        kind: Meaning and number of the outputs.
        outputs: The outputs of the model, ``(rows, size)``.
        logits: The logits of one probability, ``(rows, 1)``, where `needs_logits` is true.
        thresholds: A threshold for each class, or None.

    Returns:
        ``(rows, classes)``; for ``predictionCol`` the class, ``(rows, 1)``, or the numbers of a
        regression, ``(rows, size)``.
    """
    if kind.name == NUMBERS:
        return outputs
    if param == "rawPredictionCol":
        return _raw(kind, logits if needs_logits(param, kind) else outputs)
    probabilities = _probabilities(kind, outputs)
    if param == "probabilityCol":
        return probabilities
    if thresholds is not None:
        limits = np.asarray(thresholds, np.float64)
        # A class with the threshold 0 is taken wherever it has any probability.
        taken = np.where(probabilities > 0, np.inf, 0.0)
        divided = probabilities / np.where(limits > 0, limits, 1.0)
        probabilities = np.where(limits > 0, divided, taken)
    classes: Values = np.argmax(probabilities, axis=1, keepdims=True).astype(np.float64)
    return classes


def _raw(kind: PredictionKind, values: Values) -> Values:
    if kind.size == 1:
        return np.hstack([-values, values])
    return values if kind.name == LOGITS else np.asarray(np.log(np.maximum(values, _SMALLEST)))


def _probabilities(kind: PredictionKind, outputs: Values) -> Values:
    if kind.name == LOGITS:
        # The softmax of [-z / 2, z / 2] is the sigmoid of z.
        logits = np.hstack([-outputs, outputs]) / 2 if kind.size == 1 else outputs
        # Less the largest one, so that no exponential is infinite.
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))
    return np.hstack([1 - outputs, outputs]) if kind.size == 1 else outputs
