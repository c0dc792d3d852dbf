"""Intervals: between what bounds a figure lies, as far as so many images can tell."""

from __future__ import annotations

import math
from typing import Final

# The 97.5 % point of the normal distribution: both sides together leave out 5 %.
Z: Final = 1.959963984540054

# Halvings of [0, 1], after which the bounds of a root are neighbouring numbers.
_HALVINGS: Final = 60

Interval = tuple[float, float]


def wilson_interval(found: int, of: int) -> Interval | None:
    """Return the 95 % interval of a fraction.

    Wilson's score interval (Journal of the American Statistical Association 22, 1927,
    page 209): ``(p + z^2/2n -+ z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n)``. Unlike
    the textbook's ``p -+ z sqrt(p (1 - p)/n)`` it stays within [0, 1] and is not a
    single point where all or none are found.

    Args:
        found: How many there were, from 0 to ``of``.
        of: Of how many, at least 0.

    Returns:
        Lower and upper bound, in [0, 1]; None of nothing.
    """
    if of == 0:
        return None
    p, spread = found / of, Z**2 / of
    middle = (p + spread / 2) / (1 + spread)
    half = Z * math.sqrt(p * (1 - p) / of + spread / (4 * of)) / (1 + spread)
    # Where none or all are found the bound is exact, and rounding would miss it.
    low = 0.0 if found == 0 else max(0.0, middle - half)
    high = 1.0 if found == of else min(1.0, middle + half)
    return low, high


def mean_interval(mean: float, variance: float, of: int) -> Interval | None:
    """Return the 95 % interval of a mean of numbers that are not negative, such as losses.

    ``mean -+ z sqrt(variance / n)``, by the central limit theorem; so a rough one for
    few images, or where a single one brings most of the loss.

    Args:
        mean: Mean, at least 0.
        variance: Mean squared distance from the mean, that is, divided by ``of``.
        of: Of how many numbers, at least 1.

    Returns:
        Lower and upper bound, at least 0; None of one number, which does not tell a spread.
    """
    if of < 2:
        return None
    half = Z * math.sqrt(variance / (of - 1))
    return max(0.0, mean - half), mean + half


def auc_interval(area: float, *, positives: int, negatives: int) -> Interval | None:
    """Return the 95 % interval of an area under the ROC curve.

    Method 5 of Newcombe, Statistics in Medicine 25 (2006), page 559: all areas ``a`` with
    ``|area - a| <= z sqrt(V(a))``, where ``V(a) = a (1 - a) (1 + m (1 - a)/(2 - a) +
    m a/(1 + a)) / (positives negatives)`` with ``m = (positives + negatives)/2 - 1`` is
    the variance of Hanley and McNeil (1982) without their preference for one label. It
    is to areas what Wilson's interval is to fractions: not a single point at 1.

    Args:
        area: Area, in [0, 1].
        positives: Images with glasses, at least 0.
        negatives: Images without, at least 0.

    Returns:
        Lower and upper bound, in [0, 1]; None where one label has no images.
    """
    if positives == 0 or negatives == 0:
        return None
    m = (positives + negatives) / 2 - 1

    def is_within(a: float) -> bool:
        shape = 1 + m * (1 - a) / (2 - a) + m * a / (1 + a)
        return (area - a) ** 2 <= Z**2 * a * (1 - a) * shape / (positives * negatives)

    def bound(outside: float) -> float:
        inside = area
        for _ in range(_HALVINGS):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if is_within(middle) else (inside, middle)
        return inside

    return bound(0.0), bound(1.0)
