"""Confusion counts and the metrics that follow from them."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Confusion:
    """Counts of correct and incorrect predicted labels; positive means glasses.

    A fraction with denominator 0 is None: precision without predicted positives, recall
    without positives.

    Attributes:
        tp: True positives.
        fp: False positives.
        tn: True negatives.
        fn: False negatives.
    """

    tp: int
    fp: int
    tn: int
    fn: int

    @property
    def rows(self) -> int:
        """Number of images."""
        return self.tp + self.fp + self.tn + self.fn

    @property
    def correct(self) -> int:
        """Number of images with a correct predicted label."""
        return self.tp + self.tn

    @property
    def accuracy(self) -> float | None:
        """Fraction of the images with a correct predicted label."""
        return _fraction(self.correct, self.rows)

    @property
    def precision(self) -> float | None:
        """Fraction of the predicted positives that are positives."""
        return _fraction(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float | None:
        """Fraction of the positives that are predicted as such."""
        return _fraction(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float | None:
        """Fraction of the negatives that are predicted as such."""
        return _fraction(self.tn, self.tn + self.fp)

    @property
    def balanced_accuracy(self) -> float | None:
        """Mean of recall and specificity; 0.5 for guessing, also with unequal class sizes."""
        if self.recall is None or self.specificity is None:
            return None
        return (self.recall + self.specificity) / 2

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall."""
        return _fraction(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def mcc(self) -> float | None:
        """Matthews' correlation of label and predicted label, in [-1, 1].

        Matthews, Biochimica et Biophysica Acta 405 (1975), page 442. None if there is only
        one label or only one predicted label.
        """
        # Python integers: this product of four counts overflows 64 bits.
        product = (
            (self.tp + self.fp) * (self.tp + self.fn) * (self.tn + self.fp) * (self.tn + self.fn)
        )
        return (self.tp * self.tn - self.fp * self.fn) / math.sqrt(product) if product else None

    def cost(self, *, false_positive: float, false_negative: float) -> float | None:
        """Return the mean cost per image, given the cost of each kind of error."""
        total = self.fp * false_positive + self.fn * false_negative
        return total / self.rows if self.rows else None


def _fraction(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None
