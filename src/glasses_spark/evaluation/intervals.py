"""Confidence intervals of metrics."""

from __future__ import annotations

import math
from typing import Final

# The 97.5 % quantile of the normal distribution, for two-sided 95 % intervals.
Z: Final = 1.959963984540054

# After 60 bisections of [0, 1] the bounds are adjacent floating-point numbers.
_HALVINGS: Final = 60

Interval = tuple[float, float]


def wilson_interval(successes: int, trials: int) -> Interval | None:
    """Return the 95 % interval of a fraction.

    Wilson's score interval (Journal of the American Statistical Association 22, 1927,
    page 209): ``(p + z^2/2n -+ z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n)``. Unlike
    ``p -+ z sqrt(p (1 - p)/n)`` it stays within [0, 1], and it has a width above 0 when
    ``p`` is 0 or 1.

    Args:
        successes: Number of successes, from 0 to ``trials``.
        trials: Number of trials, at least 0.

    Returns:
        Lower and upper bound, in [0, 1]; None without trials.
    """
    if trials == 0:
        return None
    p, spread = successes / trials, Z**2 / trials
    middle = (p + spread / 2) / (1 + spread)
    half_width = Z * math.sqrt(p * (1 - p) / trials + spread / (4 * trials)) / (1 + spread)
    # At p = 0 and p = 1 one bound is exact; rounding would miss it.
    low = 0.0 if successes == 0 else max(0.0, middle - half_width)
    high = 1.0 if successes == trials else min(1.0, middle + half_width)
    return low, high


def mean_interval(mean: float, variance: float, count: int) -> Interval | None:
    """Return the 95 % interval of the mean of non-negative numbers, such as losses.

    ``mean -+ z sqrt(variance / n)``, by the central limit theorem. The approximation is poor
    for few images, or when a single image dominates the loss.

    Args:
        mean: Mean, at least 0.
        variance: Mean squared difference from the mean, that is, divided by ``count``.
        count: Number of values, at least 1.

    Returns:
        Lower and upper bound, at least 0; None for a single value.
    """
    if count < 2:
        return None
    half_width = Z * math.sqrt(variance / (count - 1))
    return max(0.0, mean - half_width), mean + half_width


def auc_interval(area: float, *, positives: int, negatives: int) -> Interval | None:
    """Return the 95 % interval of an area under the ROC curve.

    Method 5 of Newcombe, Statistics in Medicine 25 (2006), page 559: all areas ``a`` with
    ``|area - a| <= z sqrt(V(a))``, where ``V(a) = a (1 - a) (1 + m (1 - a)/(2 - a) +
    m a/(1 + a)) / (positives negatives)`` with ``m = (positives + negatives)/2 - 1`` is
    the variance of Hanley and McNeil (1982), made symmetric in the two labels. Like Wilson's
    interval it has a width above 0 for an area of 1.

    Args:
        area: Area, in [0, 1].
        positives: Images with glasses, at least 0.
        negatives: Images without glasses, at least 0.

    Returns:
        Lower and upper bound, in [0, 1]; None if a label has no images.
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
