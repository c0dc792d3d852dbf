"""McNemar's test of two models on the same rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# The usual rule: with fewer discordant rows the chi-square distribution approximates the
# binomial one poorly.
EXACT_BELOW: Final = 25


@dataclass(frozen=True)
class McNemar:
    """Result of the test.

    Attributes:
        method: ``"exact"`` for the binomial test, ``"chi-square"`` for the approximation.
        statistic: The chi-square statistic, at least 0, with one degree of freedom; None for
            the exact test.
        p_value: Probability in [0, 1] of a split of the discordant rows at least as uneven
            if both models have the same accuracy.
    """

    method: str
    statistic: float | None
    p_value: float


def mcnemar(only_first: int, only_second: int) -> McNemar:
    """Test whether two models have the same accuracy.

    The test uses the discordant rows alone, those on which exactly one model is correct: if
    both models have the same accuracy, either is equally likely to be the correct one
    (McNemar, Psychometrika 12, 1947). Fewer than 25 discordant rows are tested with the
    two-sided binomial test; more with ``(|b - c| - 1)^2 / (b + c)``, chi-square with one
    degree of freedom, with the continuity correction of Edwards (Psychometrika 13, 1948) as
    in Dietterich (Neural Computation 10, 1998, section 3.1).

    Args:
        only_first: Rows on which only the first model is correct, at least 0.
        only_second: Rows on which only the second model is correct, at least 0.

    Returns:
        The result; the p-value is 1 without discordant rows.
    """
    discordant = only_first + only_second
    if discordant < EXACT_BELOW:
        fewer = min(only_first, only_second)
        tail = sum(math.comb(discordant, k) for k in range(fewer + 1))
        return McNemar("exact", None, min(1.0, 2 * tail / 2**discordant))
    # Without the maximum, equal counts would give (0 - 1)^2 = 1.
    corrected = max(0, abs(only_first - only_second) - 1)
    statistic = corrected**2 / discordant
    # A chi-square variable with one degree of freedom is the square of a standard normal one.
    return McNemar("chi-square", statistic, math.erfc(math.sqrt(statistic / 2)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for multiple tests.

    The step-down method of Holm (Scandinavian Journal of Statistics 6, 1979). It controls the
    family-wise error rate, also for dependent tests.

    Args:
        p_values: One p-value per test, in [0, 1].

    Returns:
        The adjusted values in the same order, each in [0, 1] and at least its p-value.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
