"""Calibration: temperature scaling of the logits and its effect on the probabilities."""

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

# Outside this range a temperature turns every probability into 0.5, or into 0 or 1.
COLDEST: Final = 0.01
HOTTEST: Final = 100.0
# After 60 bisections of that range the bounds are adjacent floating-point numbers.
_HALVINGS: Final = 60


@dataclass(frozen=True)
class Quality:
    """Quality of the probabilities of one set of the split.

    Attributes:
        log_loss: Nats per image.
        brier_score: Mean squared difference of probability and label, in [0, 1].
        expected_calibration_error: In [0, 1]; see `expected_calibration_error`.
    """

    log_loss: float
    brier_score: float
    expected_calibration_error: float


@dataclass(frozen=True)
class Calibration:
    """A fitted temperature and its effect.

    Attributes:
        temperature: Divisor of the logits; None if the validation set determines none, in
            which case the probabilities stay unchanged.
        fitted_on: Number of images it was fitted on.
        before: Quality of the model's own probabilities, by part.
        after: Quality with the temperature applied, by part.
    """

    temperature: float | None
    fitted_on: int
    before: Mapping[str, Quality]
    after: Mapping[str, Quality]

    def as_dict(self) -> dict[str, Any]:
        """Return the calibration as nested dictionaries, ready for JSON."""
        return asdict(self)


def expected_calibration_error(bins: Sequence[ReliabilityBin]) -> float:
    """Return the mean difference of predicted probability and observed frequency, in [0, 1].

    ``sum over bins of count / rows * |fraction_positive - mean_probability|``: Naeini,
    Cooper and Hauskrecht, Obtaining Well Calibrated Probabilities Using Bayesian Binning
    (AAAI 2015). As in that paper the probability is that of glasses; Guo et al. (ICML 2017)
    use that of the predicted label.

    Args:
        bins: At least one bin, each with at least one image.
    """
    rows = sum(bin_.count for bin_ in bins)
    errors = (bin_.count * abs(bin_.fraction_positive - bin_.mean_probability) for bin_ in bins)
    return sum(errors) / rows


def fit_temperature(scores: Scores) -> float | None:
    """Return the temperature that minimizes the log loss of ``sigmoid(logit / temperature)``.

    Guo, Pleiss, Sun and Weinberger, On Calibration of Modern Neural Networks (ICML 2017),
    section 4.2. The loss is convex in ``b = 1 / temperature``; its slope is the mean of
    ``logit (sigmoid(b logit) - label)``, whose zero is found by bisection.

    Args:
        scores: Scores of images outside the training set.

    Returns:
        The temperature, between 0.01 and 100; None if the loss has no minimum in this range,
        for example because every predicted label is correct.
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
    """Fit a temperature on one set and measure its effect on all sets.

    Args:
        scores: The model's own scores, by part.
        on: Part to fit on; neither the training set nor the test set.

    Returns:
        The calibration; apply it with `scaled_scores` and `scaled_predictions`.

    Raises:
        ScoringError: ``scores`` has no part of that name.
    """
    if on not in scores:
        raise ScoringError(
            f"evaluation.calibrate needs predictions of the {on} set, found only those of "
            f"{', '.join(scores)}"
        )
    temperature = fit_temperature(scores[on])
    if temperature is None:
        logger.warning(
            "evaluation.calibrate: the log loss of the %d %s images has no minimum at a "
            "temperature between %g and %g, probably because all of them are classified "
            "correctly or all incorrectly; the probabilities stay unchanged",
            scores[on].rows,
            on,
            COLDEST,
            HOTTEST,
        )
    return Calibration(
        temperature=temperature,
        fitted_on=scores[on].rows,
        before={part: _quality(part_scores) for part, part_scores in scores.items()},
        after={
            part: _quality(scaled_scores(part_scores, temperature or 1.0))
            for part, part_scores in scores.items()
        },
    )


def scaled_scores(scores: Scores, temperature: float) -> Scores:
    """Return the scores with logits divided by a temperature and matching probabilities."""
    if temperature == 1.0:
        return scores
    logit = scores.logit / temperature
    return Scores(_sigmoid(logit), logit, scores.positives, scores.negatives)


def scaled_predictions(predictions: DataFrame, temperature: float) -> DataFrame:
    """Apply a temperature to predictions, without scoring the images again.

    Args:
        predictions: Has ``prediction`` (array<double> of one probability) and
            ``rawPrediction`` (double, its logit).
        temperature: Divisor of the logits, above 0.

    Returns:
        The same columns in the same order.

    Raises:
        ScoringError: There are no logits.
    """
    if RAW_PREDICTION not in predictions.columns:
        raise ScoringError(
            f"a temperature needs logits in the column {RAW_PREDICTION}, found the columns "
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
    decay = np.exp(-np.abs(z))
    sigmoid: Numbers = np.where(z >= 0, 1.0, decay) / (1.0 + decay)
    return sigmoid
