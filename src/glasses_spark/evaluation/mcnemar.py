"""McNemar's test: whether two models differ by more than chance on the same rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

# Below so many discordant rows the chi-square distribution is a poor likeness of the
# binomial one; the usual rule, and binomial coefficients of this size cost nothing.
EXACT_BELOW: Final = 25


@dataclass(frozen=True)
class McNemar:
    """What the test found.

    Attributes:
        method: ``"exact"`` for the binomial test, ``"chi-square"`` for the approximation.
        statistic: The chi-square statistic, >= 0, with one degree of freedom; None where
            the test is exact.
        p_value: Probability in [0, 1] of a split of the discordant rows at least as uneven
            if both models were equally often right.
    """

    method: str
    statistic: float | None
    p_value: float


def mcnemar(only_first: int, only_second: int) -> McNemar:
    """Test whether two models are equally often right, from the rows on which they disagree.

    The test looks at these discordant rows alone: if neither model is better, each is as
    likely to be of the one kind as of the other (McNemar, Psychometrika 12, 1947). With few
    of them the two-sided binomial test is exact; with 25 or more it is
    ``(|b - c| - 1)^2 / (b + c)``, chi-square with one degree of freedom, with the continuity
    correction of Edwards (Psychometrika 13, 1948) as Dietterich has it (Neural Computation
    10, 1998, section 3.1).

    Args:
        only_first: Rows on which only the first model is right, >= 0.
        only_second: Rows on which only the second model is right, >= 0.

    Returns:
        The result; the p-value is 1 where there is no discordant row.
    """
    discordant = only_first + only_second
    if discordant < EXACT_BELOW:
        fewer = min(only_first, only_second)
        tail = sum(math.comb(discordant, k) for k in range(fewer + 1))
        return McNemar("exact", None, min(1.0, 2 * tail / 2**discordant))
    # The correction must not turn equal counts into a difference: |0| - 1 squared is 1.
    distance = max(0, abs(only_first - only_second) - 1)
    statistic = distance**2 / discordant
    # A chi-square variable with one degree of freedom is a squared standard normal one.
    return McNemar("chi-square", statistic, math.erfc(math.sqrt(statistic / 2)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for having made several tests.

    The step-down method of Holm (Scandinavian Journal of Statistics 6, 1979): the chance of
    calling any difference real that is not stays at the level at which the adjusted values
    are read, whatever the tests have in common.

    Args:
        p_values: One p-value a test, in [0, 1].

    Returns:
        The adjusted values in the same order, each in [0, 1] and none below its own.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted
