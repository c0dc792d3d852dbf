"""Threshold: from which probability on glasses are best told, chosen on validation images."""

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
    """What a wrong label costs, in any unit.

    Attributes:
        false_positive: An image without glasses taken for one with, at least 0.
        false_negative: An image with glasses that is missed, at least 0.
    """

    false_positive: float = 1.0
    false_negative: float = 1.0


@dataclass(frozen=True)
class Outcome:
    """What a threshold gives on one part.

    Attributes:
        accuracy: Fraction in [0, 1] of images whose predicted label is right.
        balanced_accuracy: Mean of recall and specificity; None where all images
            have one label.
        cost: Mean cost of an image.
        tp: Images with glasses that were found.
        fp: Images without glasses that were taken for some with.
        tn: Images without glasses that were found.
        fn: Images with glasses that were missed.
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
    """A threshold, and what it gives.

    Attributes:
        threshold: Probability in [0, 1] from which the predicted label is 1.
        outcomes: What it gives, by part.
    """

    threshold: float
    outcomes: Mapping[str, Outcome]


@dataclass(frozen=True)
class Thresholds:
    """The configured threshold beside those that are best on the validation images.

    Attributes:
        costs: What a wrong label costs.
        configured: The threshold that predicted labels were made with.
        best: The choice by each criterion: ``accuracy``, ``balanced_accuracy`` (only
            where the validation images have both labels), ``cost``.
    """

    costs: Costs
    configured: ThresholdChoice
    best: Mapping[str, ThresholdChoice]

    def as_dict(self) -> dict[str, Any]:
        """Return the thresholds by name, ready for JSON."""
        return asdict(self)


def choose_thresholds(
    scores: Mapping[str, Scores], *, on: str, configured: float, costs: Costs
) -> Thresholds:
    """Choose thresholds on one part, and tell what they give on all.

    Args:
        scores: Scores by part.
        on: The part to choose on: one that was not trained on, and is not the test.
        configured: The threshold in use, in [0, 1].
        costs: What a wrong label costs.
    """

    def choice(threshold: float) -> ThresholdChoice:
        outcomes = {part: _outcome(one, threshold, costs) for part, one in scores.items()}
        return ThresholdChoice(threshold, outcomes)

    found = best_thresholds(scores[on], configured=configured, costs=costs)
    best = {name: choice(threshold) for name, threshold in found.items()}
    return Thresholds(costs, choice(configured), best)


def best_thresholds(scores: Scores, *, configured: float, costs: Costs) -> dict[str, float]:
    """Find the best threshold by accuracy, by balanced accuracy and by cost.

    Between any two neighbouring probabilities all thresholds give the same labels; of
    those the configured one is taken, or else the middle. Of several places that are
    equally good the one nearest to the configured threshold is taken.

    Args:
        scores: Scores of images that were not trained on.
        configured: The threshold to stay with where none is better, in [0, 1].
        costs: What a wrong label costs.

    Returns:
        Thresholds in [0, 1] by criterion; without ``balanced_accuracy`` where all
        images have one label.
    """
    ranking = rank(scores)
    # One place above all probabilities, and one below each.
    found = np.concatenate([[0], ranking.true_positives])
    wrong = np.concatenate([[0], ranking.false_positives])
    missed = ranking.positives - found
    places = _places(ranking.threshold, configured)
    # A threshold is at most 1, and 1 reaches an image of that probability.
    start = 1 if ranking.threshold[0] == 1.0 else 0
    losses = {
        ACCURACY: wrong + missed,
        COST: wrong * costs.false_positive + missed * costs.false_negative,
    }
    if ranking.has_both_labels:
        losses[BALANCED_ACCURACY] = wrong / ranking.negatives + missed / ranking.positives
    return {
        name: _nearest_best(loss[start:], places[start:], configured)
        for name, loss in losses.items()
    }


def _places(falling: Numbers, configured: float) -> Numbers:
    """A threshold above all probabilities, between any two neighbours, and below all."""
    high = np.concatenate([[1.0], falling])
    low = np.concatenate([falling, [0.0]])
    # Labels are the same for all thresholds in (low, high]; at the bottom, 0 is in as well.
    middle = (low + high) / 2
    middle = np.where(middle > low, middle, high)
    here = (configured > low) & (configured <= high)
    here[-1] |= configured == 0.0
    return np.where(here, configured, middle)


def _nearest_best(loss: Numbers, places: Numbers, configured: float) -> float:
    # Sums of the same parts in another order may differ in the last digits.
    best = places[loss <= loss.min() + 1e-12 * np.abs(loss).max()]
    return float(best[np.argmin(np.abs(best - configured))])


def _outcome(scores: Scores, threshold: float, costs: Costs) -> Outcome:
    confusion = scores.confusion(threshold)
    accuracy = confusion.accuracy
    cost = confusion.cost(false_positive=costs.false_positive, false_negative=costs.false_negative)
    assert accuracy is not None  # a part has at least one row
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
