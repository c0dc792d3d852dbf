"""Curves: how predictions rank, how far their probabilities hold, and how they spread."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from glasses_spark.evaluation.ranking import Ranking, rank
from glasses_spark.evaluation.scores import Counts, Numbers, Scores

# More than a page can show, and few enough to be read as text.
MOST_POINTS: Final = 500
# As in Guo et al., On Calibration of Modern Neural Networks (ICML 2017).
RELIABILITY_BINS: Final = 15
HISTOGRAM_BINS: Final = 20

# Twice the area of a triangle so flat that rounding may have made it; those of a million
# images of each label are a thousand times as large.
_STRAIGHT: Final = 1e-15
# The threshold that no probability reaches.
_ABOVE_ALL: Final = math.nextafter(1.0, 2.0)


@dataclass(frozen=True)
class RocPoint:
    """One point of the ROC curve, with all from ``threshold`` on taken for glasses.

    Attributes:
        false_positive_rate: Fraction in [0, 1] of the images without glasses.
        true_positive_rate: Fraction in [0, 1] of the images with glasses.
        threshold: Probability in [0, 1]; just above 1 at the point (0, 0),
            which no probability reaches.
    """

    false_positive_rate: float
    true_positive_rate: float
    threshold: float


@dataclass(frozen=True)
class PrecisionRecallPoint:
    """One point of the precision-recall curve, with all from ``threshold`` on taken for glasses.

    Attributes:
        recall: Fraction in [0, 1] of the images with glasses that are found.
        precision: Fraction in [0, 1] of those taken for glasses that have some.
        threshold: Probability in [0, 1]; just above 1 at recall 0, where nothing
            is taken for glasses and precision is 1 by convention.
    """

    recall: float
    precision: float
    threshold: float


@dataclass(frozen=True)
class ReliabilityBin:
    """Images whose probability lies in [low, high); the last bin holds 1 as well.

    Attributes:
        low: Lower edge, in [0, 1).
        high: Upper edge, in (0, 1].
        count: Images in it, at least 1.
        mean_probability: Mean of their probabilities of glasses.
        fraction_positive: Fraction in [0, 1] of them that have glasses.
    """

    low: float
    high: float
    count: int
    mean_probability: float
    fraction_positive: float


@dataclass(frozen=True)
class HistogramBin:
    """Images whose probability lies in [low, high), by label; the last bin holds 1 as well.

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
    """What there is to draw of the predictions for one part, at most 500 points a curve.

    Attributes:
        roc: From (0, 0) to (1, 1), both rates never falling; empty where all
            images have one label.
        precision_recall: From recall 0 to recall 1; empty where all images have
            one label.
        reliability: Bins of equal width that hold any image, in order.
        histogram: Bins of equal width over [0, 1], the empty ones included, in order.
    """

    roc: tuple[RocPoint, ...]
    precision_recall: tuple[PrecisionRecallPoint, ...]
    reliability: tuple[ReliabilityBin, ...]
    histogram: tuple[HistogramBin, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the curves by name, each a list of points by name, ready for JSON."""
        return {name: list(points) for name, points in asdict(self).items()}


def make_curves(scores: Scores) -> Curves:
    """Make the curves of one part."""
    ranking = rank(scores)
    return Curves(
        roc=_roc(ranking) if ranking.has_both_labels else (),
        precision_recall=_precision_recall(ranking) if ranking.has_both_labels else (),
        reliability=reliability(scores),
        histogram=_histogram(scores),
    )


def reliability(scores: Scores) -> tuple[ReliabilityBin, ...]:
    """Compare probabilities with how often they come true, in 15 bins of equal width."""
    place = _places(scores, RELIABILITY_BINS)
    rows = scores.positives + scores.negatives
    probability, positives, count = (
        np.bincount(place, weights=numbers, minlength=RELIABILITY_BINS)
        for numbers in (rows * scores.probability, scores.positives, rows)
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
    place = _places(scores, HISTOGRAM_BINS)
    negatives, positives = (
        np.bincount(place, weights=counts, minlength=HISTOGRAM_BINS)
        for counts in (scores.negatives, scores.positives)
    )
    return tuple(
        HistogramBin(low, high, int(negatives[i]), int(positives[i]))
        for i, (low, high) in enumerate(_edges(HISTOGRAM_BINS))
    )


def _roc(ranking: Ranking) -> tuple[RocPoint, ...]:
    false, true, threshold = _from_nothing(ranking)
    x: Numbers = false / ranking.negatives
    y: Numbers = true / ranking.positives
    return tuple(RocPoint(float(x[i]), float(y[i]), float(threshold[i])) for i in _thinned(x, y))


def _precision_recall(ranking: Ranking) -> tuple[PrecisionRecallPoint, ...]:
    false, true, threshold = _from_nothing(ranking)
    # Beyond the threshold at which all with glasses are found there is only more to lose.
    end = int(np.argmax(true == ranking.positives)) + 1
    found, taken = true[:end], (true + false)[:end]
    recall: Numbers = found / ranking.positives
    precision = np.divide(found, taken, out=np.ones(end), where=taken > 0)
    return tuple(
        PrecisionRecallPoint(float(recall[i]), float(precision[i]), float(threshold[i]))
        for i in _thinned(recall, precision)
    )


def _from_nothing(ranking: Ranking) -> tuple[Counts, Counts, Numbers]:
    """False and true positives, and thresholds, from that on at which nothing is found."""
    return (
        np.concatenate([[0], ranking.false_positives]),
        np.concatenate([[0], ranking.true_positives]),
        np.concatenate([[_ABOVE_ALL], ranking.threshold]),
    )


def _thinned(x: Numbers, y: Numbers) -> Counts:
    """Choose points of a curve: all its corners, or 500 at most of them.

    Points on the line between their neighbours are not seen, and go first. Of more
    corners those stay that span the curve from above, and others in even steps along
    it, so that no point left out is further than a 250th of the way from one that stays.
    """
    dx, dy = np.diff(x), np.diff(y)
    turns = np.abs(dx[:-1] * dy[1:] - dy[:-1] * dx[1:]) > _STRAIGHT
    corners = np.concatenate([[0], np.flatnonzero(turns) + 1, [len(x) - 1]])
    if len(corners) <= MOST_POINTS:
        return corners
    x, y, half = x[corners], y[corners], MOST_POINTS // 2
    hull = np.asarray(_upper_hull(x, y))
    spanning = hull[np.linspace(0, len(hull) - 1, min(len(hull), half)).astype(int)]
    way = np.concatenate([[0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    even = np.searchsorted(way, np.linspace(0, way[-1], half)).clip(max=len(corners) - 1)
    kept: Counts = corners[np.union1d(spanning, even)]
    return kept


def _upper_hull(x: Numbers, y: Numbers) -> list[int]:
    """Which points span the curve from above; Andrew's monotone chain (1979)."""
    hull: list[int] = []
    for i in range(len(x)):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if (x[b] - x[a]) * (y[i] - y[a]) < (y[b] - y[a]) * (x[i] - x[a]):
                break
            hull.pop()
        hull.append(i)
    return hull


def _places(scores: Scores, bins: int) -> Counts:
    """The bin of each score; the last one holds 1 as well."""
    places: Counts = (scores.probability * bins).astype(np.int64).clip(max=bins - 1)
    return places


def _edges(bins: int) -> Iterator[tuple[float, float]]:
    return ((i / bins, (i + 1) / bins) for i in range(bins))
