"""Calibration: whether probabilities hold, and one number that makes them."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import PREDICTION, RAW_PREDICTION
from glasses_spark.errors import ScoringError
from glasses_spark.evaluation.curves import ReliabilityBin, reliability
from glasses_spark.evaluation.losses import brier_score, log_loss
from glasses_spark.evaluation.scores import Numbers, Scores

logger = logging.getLogger(__name__)

# Beyond these a temperature makes any probability 0.5, or 0 and 1.
COLDEST: Final = 0.01
HOTTEST: Final = 100.0
# Of the bounds' ratio, 10,000: until they are neighbouring numbers.
_HALVINGS: Final = 60


@dataclass(frozen=True)
class Quality:
    """How far the probabilities of one part hold.

    Attributes:
        log_loss: Nats per image.
        brier_score: Mean squared distance of probability and label.
        expected_calibration_error: See `expected_calibration_error`.
    """

    log_loss: float
    brier_score: float
    expected_calibration_error: float


@dataclass(frozen=True)
class Calibration:
    """A temperature, and what it has changed.

    Attributes:
        temperature: By which logits are divided; None where the validation images
            tell none, and the probabilities are left as they are.
        fitted_on: Images from which it was found.
        before: How far the probabilities held as the model gave them, by part.
        after: The same with the temperature.
    """

    temperature: float | None
    fitted_on: int
    before: Mapping[str, Quality]
    after: Mapping[str, Quality]

    def as_dict(self) -> dict[str, Any]:
        """Return the calibration by name, ready for JSON."""
        return asdict(self)


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return how far probability and frequency are apart, in [0, 1], over the bins' images.

    ``sum over bins of count / rows * |fraction_positive - mean_probability|``: Naeini,
    Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning
    (AAAI 2015). For the probability of glasses, as there; Guo et al. (ICML 2017) take that
    of the predicted label.

    Args:
        bins: At least one, with at least one image each.
    """
    rows = sum(one.count for one in bins)
    off = (one.count * abs(one.fraction_positive - one.mean_probability) for one in bins)
    return sum(off) / rows


def fit_temperature(scores: Scores) -> float | None:
    """Find the temperature with the lowest log loss of ``sigmoid(logit / temperature)``.

    Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks (ICML 2017),
    section 4.2. In ``b = 1 / temperature`` the loss is convex, and its slope is the mean of
    ``logit (sigmoid(b logit) - label)``; where that crosses 0 is found by bisection.

    Args:
        scores: Scores of images that were not trained on.

    Returns:
        The temperature, between 0.01 and 100; None where the loss only falls or only rises
        there, as with logits that are all on their label's side: of such images the best
        temperature would be none at all.
    """
    z, rows = scores.logit, scores.rows

    def slope(b: float) -> float:
        sigmoid = _sigmoid(b * z)
        return scores.total(z * (sigmoid - 1), z * sigmoid) / rows

    low, high = np.log(1 / HOTTEST), np.log(1 / COLDEST)
    if slope(np.exp(low)) >= 0 or slope(np.exp(high)) <= 0:
        return None
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(np.exp(middle)) < 0 else (low, middle)
    return float(np.exp(-(low + high) / 2))


def calibrate(scores: Mapping[str, Scores], *, on: str) -> Calibration:
    """Fit a temperature on one part, and tell what it changes in all of them.

    Args:
        scores: Scores by part, as the model gave them.
        on: The part it is fitted on: one that was not trained on, and is not the test.

    Returns:
        The calibration; apply it with `scaled_scores` and `scaled_predictions`.

    Raises:
        ScoringError: There is no such part.
    """
    if on not in scores:
        raise ScoringError(
            f"evaluation.calibrate: expected {on} rows among the predictions, found none among "
            f"those of {', '.join(scores)}"
        )
    temperature = fit_temperature(scores[on])
    if temperature is None:
        logger.warning(
            "evaluation.calibrate: the %d images of %s tell no temperature between %g and %g (are "
            "they all right, or all wrong?); the probabilities are left as they are",
            scores[on].rows,
            on,
            COLDEST,
            HOTTEST,
        )
    return Calibration(
        temperature=temperature,
        fitted_on=scores[on].rows,
        before={part: _quality(one) for part, one in scores.items()},
        after={
            part: _quality(scaled_scores(one, temperature or 1.0)) for part, one in scores.items()
        },
    )


def scaled_scores(scores: Scores, temperature: float) -> Scores:
    """Return scores with logits divided by a temperature, and their probabilities."""
    if temperature == 1.0:
        return scores
    logit = scores.logit / temperature
    return Scores(_sigmoid(logit), logit, scores.positives, scores.negatives)


def scaled_predictions(predictions: DataFrame, temperature: float) -> DataFrame:
    """Return predictions as the model would give them with a temperature.

    Args:
        predictions: With ``prediction`` (array<double> of one probability) and
            ``rawPrediction`` (double, its logit).
        temperature: By which the logits are divided, above 0.

    Returns:
        The same columns in the same order.

    Raises:
        ScoringError: There are no logits.
    """
    if RAW_PREDICTION not in predictions.columns:
        raise ScoringError(
            f"temperature: expected logits in the column {RAW_PREDICTION}, found none among "
            f"{', '.join(predictions.columns)}"
        )
    logit = F.col(RAW_PREDICTION) / F.lit(temperature)
    probability = F.lit(1.0) / (F.lit(1.0) + F.exp(-logit))
    return predictions.withColumns({PREDICTION: F.array(probability), RAW_PREDICTION: logit})


def _quality(scores: Scores) -> Quality:
    return Quality(
        log_loss=log_loss(scores).mean,
        brier_score=brier_score(scores),
        expected_calibration_error=expected_calibration_error(reliability(scores)),
    )


def _sigmoid(z: Numbers) -> Numbers:
    # exp(-|z|) never overflows.
    small = np.exp(-np.abs(z))
    sigmoid: Numbers = np.where(z >= 0, 1.0, small) / (1.0 + small)
    return sigmoid
