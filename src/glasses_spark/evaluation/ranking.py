"""Ranking: confusion counts at every threshold, and the areas under the curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from glasses_spark.evaluation.scores import Counts, Numbers, Scores


@dataclass(frozen=True, eq=False)
class Ranking:
    """Counts of positives at each threshold, for thresholds at every distinct probability.

    Attributes:
        threshold: ``(points,)`` float64, descending: each distinct probability.
        true_positives: ``(points,)`` int64: true positives at that threshold.
        false_positives: ``(points,)`` int64: false positives at that threshold.
    """

    threshold: Numbers
    true_positives: Counts
    false_positives: Counts

    @property
    def positives(self) -> int:
        """Number of images with glasses."""
        return int(self.true_positives[-1])

    @property
    def negatives(self) -> int:
        """Number of images without glasses."""
        return int(self.false_positives[-1])

    @property
    def has_both_labels(self) -> bool:
        """Whether there are images of both labels."""
        return self.positives > 0 and self.negatives > 0

    def roc_auc(self) -> float | None:
        """Return the area under the ROC curve; None if all images have the same label.

        The probability that a positive is ranked above a negative, with ties counted half
        (Hanley and McNeil, Radiology 143, 1982, page 29).
        """
        if not self.has_both_labels:
            return None
        added_positives = np.diff(self.true_positives, prepend=0)
        tied = np.diff(self.false_positives, prepend=0)
        ranked_lower = self.negatives - self.false_positives + tied / 2
        return float(added_positives @ ranked_lower / self.positives / self.negatives)

    def average_precision(self) -> float | None:
        """Return the area under the precision-recall curve; None if all labels are the same.

        Computed as average precision: the precision at each threshold, weighted by the recall
        it adds. The trapezoidal rule is too optimistic (Davis and Goadrich, ICML 2006).
        """
        if not self.has_both_labels:
            return None
        added_positives = np.diff(self.true_positives, prepend=0)
        precision = self.true_positives / (self.true_positives + self.false_positives)
        return float(added_positives @ precision / self.positives)


def rank(scores: Scores) -> Ranking:
    """Rank scores by descending probability."""
    distinct, index = np.unique(-scores.probability, return_inverse=True)
    positives, negatives = (
        np.bincount(index, weights=counts, minlength=len(distinct)).astype(np.int64)
        for counts in (scores.positives, scores.negatives)
    )
    return Ranking(-distinct, np.cumsum(positives), np.cumsum(negatives))
