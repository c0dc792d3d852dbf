"""Ranking: how well scores put images with glasses above those without."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glasses_spark.evaluation.scores import Counts, Numbers, Scores


@dataclass(frozen=True, eq=False)
class Ranking:
    """What is found as the threshold falls through every distinct probability.

    Attributes:
        threshold: ``(points,)`` float64, falling: each distinct probability.
        true_positives: ``(points,)`` int64: images with glasses from there up.
        false_positives: ``(points,)`` int64: images without from there up.
    """

    threshold: Numbers
    true_positives: Counts
    false_positives: Counts

    @property
    def positives(self) -> int:
        """Images with glasses."""
        return int(self.true_positives[-1])

    @property
    def negatives(self) -> int:
        """Images without."""
        return int(self.false_positives[-1])

    @property
    def has_both_labels(self) -> bool:
        """Whether there is anything to rank above anything else."""
        return self.positives > 0 and self.negatives > 0

    def roc_auc(self) -> float | None:
        """Return the area under the ROC curve, None where all images have one label.

        The probability that an image with glasses is ranked above one without, ties counted
        half (Hanley and McNeil, Radiology 143, 1982, page 29).
        """
        if not self.has_both_labels:
            return None
        found = np.diff(self.true_positives, prepend=0)
        # Those without glasses that are ranked lower, and half of those that are tied.
        tied = np.diff(self.false_positives, prepend=0)
        beaten = self.negatives - self.false_positives + tied / 2
        return float(found @ beaten / self.positives / self.negatives)

    def average_precision(self) -> float | None:
        """Return the area under the precision-recall curve, None where all have one label.

        As average precision: precision at each threshold, weighted by the recall that it
        adds, and not by trapezoids, which promise too much (Davis and Goadrich, ICML 2006).
        """
        if not self.has_both_labels:
            return None
        found = np.diff(self.true_positives, prepend=0)
        precision = self.true_positives / (self.true_positives + self.false_positives)
        return float(found @ precision / self.positives)


def rank(scores: Scores) -> Ranking:
    """Rank scores by probability."""
    distinct, place = np.unique(-scores.probability, return_inverse=True)
    positives, negatives = (
        np.bincount(place, weights=counts, minlength=len(distinct)).astype(np.int64)
        for counts in (scores.positives, scores.negatives)
    )
    return Ranking(-distinct, np.cumsum(positives), np.cumsum(negatives))
