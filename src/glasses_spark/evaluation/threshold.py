"""Decision threshold, chosen on the validation set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from glasses_spark.evaluation.ranking import rank
from glasses_spark.evaluation.scores import Numbers, Scores

ACCURACY: Final = "accuracy"
BALANCED_ACCURACY: Final = "balanced_accuracy"
COST: Final = "cost"


@dataclass(frozen=True)
class Costs:
    """Costs of wrong predictions, in any unit.

    Attributes:
        false_positive: Cost of a false positive, at least 0.
        false_negative: Cost of a false negative, at least 0.
    """

    false_positive: float = 1.0
    false_negative: float = 1.0


@dataclass(frozen=True)
class Outcome:
    """Metrics of one set of the split at one threshold.

    Attributes:
        accuracy: Fraction in [0, 1] of images with a correct predicted label.
        balanced_accuracy: Mean of recall and specificity, in [0, 1]; None if all images have
            the same label.
        cost: Mean cost per image.
        tp: True positives.
        fp: False positives.
        tn: True negatives.
        fn: False negatives.
    """

    accuracy: float
    balanced_accuracy: float | None
    cost: float
    tp: int
    fp: int
    tn: int
    fn: int


@dataclass(frozen=True)
class ThresholdChoice:
    """A threshold and its metrics.

    Attributes:
        threshold: Probability in [0, 1] from which the predicted label is 1.
        outcomes: Metrics by part.
    """

    threshold: float
    outcomes: Mapping[str, Outcome]


@dataclass(frozen=True)
class Thresholds:
    """The configured threshold and the best thresholds on the validation set.

    Attributes:
        costs: Costs of wrong predictions.
        configured: The threshold of the predicted labels.
        best: The best threshold by criterion: ``accuracy``, ``balanced_accuracy`` (only if
            the validation set has both labels), ``cost``.
    """

    costs: Costs
    configured: ThresholdChoice
    best: Mapping[str, ThresholdChoice]

    def as_dict(self) -> dict[str, Any]:
        """Return the thresholds as nested dictionaries, ready for JSON."""
        return asdict(self)


def choose_thresholds(
    scores: Mapping[str, Scores], *, on: str, configured: float, costs: Costs
) -> Thresholds:
    """Choose thresholds on one set and compute their metrics on all sets.

    Args:
        scores: Scores by part.
        on: Part to choose on; neither the training set nor the test set.
        configured: The threshold in use, in [0, 1].
        costs: Costs of wrong predictions.
    """

    def with_outcomes(threshold: float) -> ThresholdChoice:
        outcomes = {
            part: _outcome(part_scores, threshold, costs) for part, part_scores in scores.items()
        }
        return ThresholdChoice(threshold, outcomes)

    chosen = best_thresholds(scores[on], configured=configured, costs=costs)
    best = {criterion: with_outcomes(threshold) for criterion, threshold in chosen.items()}
    return Thresholds(costs, with_outcomes(configured), best)


def best_thresholds(scores: Scores, *, configured: float, costs: Costs) -> dict[str, float]:
    """Return the best threshold by accuracy, by balanced accuracy and by cost.

    All thresholds between two adjacent probabilities give the same labels; the candidate is
    the configured threshold if it lies there, or else the middle. Ties go to the candidate
    closest to the configured threshold.

    Args:
        scores: Scores of images outside the training set.
        configured: The threshold to keep if none is better, in [0, 1].
        costs: Costs of wrong predictions.

    Returns:
        Thresholds in [0, 1] by criterion; without ``balanced_accuracy`` if all images have
        the same label.
    """
    ranking = rank(scores)
    # One candidate above all probabilities, and one below each of them.
    false_positives = np.concatenate([[0], ranking.false_positives])
    false_negatives = ranking.positives - np.concatenate([[0], ranking.true_positives])
    candidates = _candidates(ranking.threshold, configured)
    # A threshold is at most 1, and an image with probability 1 reaches it.
    start = 1 if ranking.threshold[0] == 1.0 else 0
    losses = {
        ACCURACY: false_positives + false_negatives,
        COST: false_positives * costs.false_positive + false_negatives * costs.false_negative,
    }
    if ranking.has_both_labels:
        losses[BALANCED_ACCURACY] = (
            false_positives / ranking.negatives + false_negatives / ranking.positives
        )
    return {
        criterion: _closest_best(loss[start:], candidates[start:], configured)
        for criterion, loss in losses.items()
    }


def _candidates(descending: Numbers, configured: float) -> Numbers:
    """Return a threshold above all probabilities, between each adjacent two, and below all."""
    high = np.concatenate([[1.0], descending])
    low = np.concatenate([descending, [0.0]])
    # Labels are the same for all thresholds in (low, high]; the lowest range includes 0.
    middle = (low + high) / 2
    middle = np.where(middle > low, middle, high)
    holds_configured = (configured > low) & (configured <= high)
    holds_configured[-1] |= configured == 0.0
    return np.where(holds_configured, configured, middle)


def _closest_best(loss: Numbers, candidates: Numbers, configured: float) -> float:
    # With a tolerance, because the order of summation changes the last digits.
    best = candidates[loss <= loss.min() + 1e-12 * np.abs(loss).max()]
    return float(best[np.argmin(np.abs(best - configured))])


def _outcome(scores: Scores, threshold: float, costs: Costs) -> Outcome:
    confusion = scores.confusion(threshold)
    accuracy = confusion.accuracy
    cost = confusion.cost(false_positive=costs.false_positive, false_negative=costs.false_negative)
    assert accuracy is not None  # a part has at least one image
    assert cost is not None
    return Outcome(
        accuracy=accuracy,
        balanced_accuracy=confusion.balanced_accuracy,
        cost=cost,
        tp=confusion.tp,
        fp=confusion.fp,
        tn=confusion.tn,
        fn=confusion.fn,
    )
