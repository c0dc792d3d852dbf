"""Curves: how predictions rank, how far their probabilities hold, and how they spread."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


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
