"""Confusion: how often each label was taken for which."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Confusion:
    """Counts of right and wrong predicted labels, and what follows from them alone.

    A fraction of nothing is None: precision where no image was taken for one with
    glasses, recall where none has some.

    Attributes:
        tp: Images with glasses that were found.
        fp: Images without glasses that were taken for some with.
        tn: Images without glasses that were found.
        fn: Images with glasses that were missed.
    """

    tp: int
    fp: int
    tn: int
    fn: int

    @property
    def rows(self) -> int:
        """All images."""
        return self.tp + self.fp + self.tn + self.fn

    @property
    def right(self) -> int:
        """Images whose predicted label is right."""
        return self.tp + self.tn

    @property
    def accuracy(self) -> float | None:
        """Fraction of the images whose predicted label is right."""
        return _fraction(self.right, self.rows)

    @property
    def precision(self) -> float | None:
        """Fraction of the images taken for some with glasses that have some."""
        return _fraction(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float | None:
        """Fraction of the images with glasses that were found."""
        return _fraction(self.tp, self.tp + self.fn)

    @property
    def specificity(self) -> float | None:
        """Fraction of the images without glasses that were found."""
        return _fraction(self.tn, self.tn + self.fp)

    @property
    def balanced_accuracy(self) -> float | None:
        """Mean of recall and specificity: 0.5 for guessing, however rare a label is."""
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

        Matthews, Biochimica et Biophysica Acta 405 (1975), page 442; None where there
        is one label, or one predicted label, only.
        """
        sides = (
            (self.tp + self.fp) * (self.tp + self.fn) * (self.tn + self.fp) * (self.tn + self.fn)
        )
        # Whole numbers until the root: they do not overflow in Python.
        return (self.tp * self.tn - self.fp * self.fn) / math.sqrt(sides) if sides else None

    def cost(self, *, false_positive: float, false_negative: float) -> float | None:
        """Return the mean cost of an image, from what each wrong one costs."""
        total = self.fp * false_positive + self.fn * false_negative
        return total / self.rows if self.rows else None


def _fraction(part: int, whole: int) -> float | None:
    return part / whole if whole else None
