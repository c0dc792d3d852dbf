"""Curves: ROC, precision-recall, reliability and histogram of predictions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from glasses_spark.evaluation.ranking import Ranking, rank
from glasses_spark.evaluation.scores import Counts, Numbers, Scores

# More than a plot resolves, and few enough for a small curves.json.
MAX_POINTS: Final = 500
# As in Guo et al., On Calibration of Modern Neural Networks (ICML 2017).
RELIABILITY_BINS: Final = 15
HISTOGRAM_BINS: Final = 20

# Triangles with less than half this area are rounding error; with a million images of each
# label the smallest real one is a thousand times larger.
_COLLINEAR: Final = 1e-15
# A threshold above every probability.
_ABOVE_ALL: Final = math.nextafter(1.0, 2.0)


@dataclass(frozen=True)
class RocPoint:
    """One point of the ROC curve.

    Attributes:
        false_positive_rate: Fraction in [0, 1] of the negatives.
        true_positive_rate: Fraction in [0, 1] of the positives.
        threshold: Probability in [0, 1] from which images are predicted positive; just above
            1 at the point (0, 0).
    """

    false_positive_rate: float
    true_positive_rate: float
    threshold: float


@dataclass(frozen=True)
class PrecisionRecallPoint:
    """One point of the precision-recall curve.

    Attributes:
        recall: Fraction in [0, 1] of the positives that are predicted positive.
        precision: Fraction in [0, 1] of the predicted positives that are positives.
        threshold: Probability in [0, 1] from which images are predicted positive; just above
            1 at recall 0, where the precision is 1 by convention.
    """

    recall: float
    precision: float
    threshold: float


@dataclass(frozen=True)
class ReliabilityBin:
    """Images whose probability lies in [low, high); the last bin includes 1.

    Attributes:
        low: Lower edge, in [0, 1).
        high: Upper edge, in (0, 1].
        count: Number of images, at least 1.
        mean_probability: Mean predicted probability of glasses.
        fraction_positive: Fraction in [0, 1] of the images with glasses.
    """

    low: float
    high: float
    count: int
    mean_probability: float
    fraction_positive: float


@dataclass(frozen=True)
class HistogramBin:
    """Images whose probability lies in [low, high), by label; the last bin includes 1.

    Attributes:
        low: Lower edge, in [0, 1).
        high: Upper edge, in (0, 1].
        negatives: Images without glasses, at least 0.
        positives: Images with glasses, at least 0.
    """

    low: float
    high: float
    negatives: int
    positives: int


@dataclass(frozen=True)
class Curves:
    """Curves of the predictions of one set of the split, at most 500 points each.

    Attributes:
        roc: From (0, 0) to (1, 1), both rates non-decreasing; empty if all images have the
            same label.
        precision_recall: From recall 0 to recall 1; empty if all images have the same label.
        reliability: The non-empty ones of 15 bins of equal width, in order.
        histogram: 20 bins of equal width over [0, 1], in order.
    """

    roc: tuple[RocPoint, ...]
    precision_recall: tuple[PrecisionRecallPoint, ...]
    reliability: tuple[ReliabilityBin, ...]
    histogram: tuple[HistogramBin, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the curves by name, each a list of dictionaries, ready for JSON."""
        return {name: list(points) for name, points in asdict(self).items()}


def make_curves(scores: Scores) -> Curves:
    """Compute the curves of one set of the split."""
    ranking = rank(scores)
    return Curves(
        roc=_roc(ranking) if ranking.has_both_labels else (),
        precision_recall=_precision_recall(ranking) if ranking.has_both_labels else (),
        reliability=reliability(scores),
        histogram=_histogram(scores),
    )


def reliability(scores: Scores) -> tuple[ReliabilityBin, ...]:
    """Compare predicted probabilities with observed frequencies, in 15 bins of equal width."""
    index = _bin_indices(scores, RELIABILITY_BINS)
    rows = scores.positives + scores.negatives
    probability, positives, count = (
        np.bincount(index, weights=weights, minlength=RELIABILITY_BINS)
        for weights in (rows * scores.probability, scores.positives, rows)
    )
    return tuple(
        ReliabilityBin(
            low=low,
            high=high,
            count=int(count[i]),
            mean_probability=float(probability[i] / count[i]),
            fraction_positive=float(positives[i] / count[i]),
        )
        for i, (low, high) in enumerate(_edges(RELIABILITY_BINS))
        if count[i]
    )


def _histogram(scores: Scores) -> tuple[HistogramBin, ...]:
    index = _bin_indices(scores, HISTOGRAM_BINS)
    negatives, positives = (
        np.bincount(index, weights=counts, minlength=HISTOGRAM_BINS)
        for counts in (scores.negatives, scores.positives)
    )
    return tuple(
        HistogramBin(low, high, int(negatives[i]), int(positives[i]))
        for i, (low, high) in enumerate(_edges(HISTOGRAM_BINS))
    )


def _roc(ranking: Ranking) -> tuple[RocPoint, ...]:
    false, true, threshold = _counts_from_zero(ranking)
    x: Numbers = false / ranking.negatives
    y: Numbers = true / ranking.positives
    return tuple(
        RocPoint(float(x[i]), float(y[i]), float(threshold[i])) for i in _select_points(x, y)
    )


def _precision_recall(ranking: Ranking) -> tuple[PrecisionRecallPoint, ...]:
    false, true, threshold = _counts_from_zero(ranking)
    # Once the recall is 1, lower thresholds only reduce the precision.
    end = int(np.argmax(true == ranking.positives)) + 1
    true_positives, predicted = true[:end], (true + false)[:end]
    recall: Numbers = true_positives / ranking.positives
    precision = np.divide(true_positives, predicted, out=np.ones(end), where=predicted > 0)
    return tuple(
        PrecisionRecallPoint(float(recall[i]), float(precision[i]), float(threshold[i]))
        for i in _select_points(recall, precision)
    )


def _counts_from_zero(ranking: Ranking) -> tuple[Counts, Counts, Numbers]:
    """Return false positives, true positives and thresholds, starting without any positive."""
    return (
        np.concatenate([[0], ranking.false_positives]),
        np.concatenate([[0], ranking.true_positives]),
        np.concatenate([[_ABOVE_ALL], ranking.threshold]),
    )


def _select_points(x: Numbers, y: Numbers) -> Counts:
    """Return the indices of at most 500 points that preserve the shape of a curve.

    Points on the line between their neighbours are dropped first. If more than 500 corners
    remain, half of the selection lies on the upper convex hull and half is spaced evenly along
    the curve, so that each dropped point is within 1/250 of the curve's length of a kept one.
    """
    dx, dy = np.diff(x), np.diff(y)
    turns = np.abs(dx[:-1] * dy[1:] - dy[:-1] * dx[1:]) > _COLLINEAR
    corners = np.concatenate([[0], np.flatnonzero(turns) + 1, [len(x) - 1]])
    if len(corners) <= MAX_POINTS:
        return corners
    x, y, half = x[corners], y[corners], MAX_POINTS // 2
    hull = np.asarray(_upper_hull(x, y))
    on_hull = hull[np.linspace(0, len(hull) - 1, min(len(hull), half)).astype(int)]
    length = np.concatenate([[0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    even = np.searchsorted(length, np.linspace(0, length[-1], half)).clip(max=len(corners) - 1)
    selected: Counts = corners[np.union1d(on_hull, even)]
    return selected


def _upper_hull(x: Numbers, y: Numbers) -> list[int]:
    """Return the indices of the upper convex hull; Andrew's monotone chain (1979)."""
    hull: list[int] = []
    for i in range(len(x)):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if (x[b] - x[a]) * (y[i] - y[a]) < (y[b] - y[a]) * (x[i] - x[a]):
                break
            hull.pop()
        hull.append(i)
    return hull


def _bin_indices(scores: Scores, bins: int) -> Counts:
    """Return the bin of each score; the last bin includes 1."""
    indices: Counts = (scores.probability * bins).astype(np.int64).clip(max=bins - 1)
    return indices


def _edges(bins: int) -> Iterator[tuple[float, float]]:
    return ((i / bins, (i + 1) / bins) for i in range(bins))
