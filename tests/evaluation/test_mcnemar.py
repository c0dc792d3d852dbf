"""Tests for glasses_spark.evaluation.mcnemar."""

from __future__ import annotations

import itertools

import pytest
from scipy.stats import binomtest, chi2

from glasses_spark.evaluation.mcnemar import EXACT_BELOW, holm, mcnemar


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    [
        pytest.param(0, 0, 1.0, id="no discordant row"),
        pytest.param(1, 0, 1.0, id="2 * 1/2"),
        pytest.param(0, 5, 0.0625, id="2 * 1/32"),
        pytest.param(6, 0, 0.03125, id="2 * 1/64"),
        pytest.param(1, 9, 0.021484375, id="2 * (1 + 10)/1024"),
        pytest.param(5, 5, 1.0, id="even, where twice the tail is above 1"),
    ],
)
def test_few_discordant_rows_are_tested_exactly(
    only_first: int, only_second: int, p_value: float
) -> None:
    result = mcnemar(only_first, only_second)
    assert (result.method, result.statistic) == ("exact", None)
    assert result.p_value == p_value


def test_many_discordant_rows_are_tested_by_chi_square_with_the_continuity_correction() -> None:
    result = mcnemar(10, 30)
    assert result.method == "chi-square"
    assert result.statistic == pytest.approx(9.025)  # (20 - 1)^2 / 40
    assert result.p_value == pytest.approx(0.002663, abs=1e-6)  # from a table of chi-square


def test_equal_counts_are_no_difference() -> None:
    assert mcnemar(500, 500).statistic == 0
    assert mcnemar(500, 500).p_value == 1


def test_the_approximation_starts_at_25_discordant_rows() -> None:
    assert EXACT_BELOW == 25
    assert mcnemar(24, 0).method == "exact"
    assert mcnemar(25, 0).method == "chi-square"


def test_p_values_match_scipy() -> None:
    for b, c in itertools.product([0, 1, 2, 7, 12, 13, 40, 300], repeat=2):
        result = mcnemar(b, c)
        if b + c == 0:
            continue
        if b + c < EXACT_BELOW:
            expected = binomtest(b, b + c).pvalue
        else:
            expected = chi2.sf(max(0, abs(b - c) - 1) ** 2 / (b + c), df=1)
        assert result.p_value == pytest.approx(expected, rel=1e-9)
        assert result.p_value == mcnemar(c, b).p_value


def test_holm_multiplies_p_values_by_the_number_of_remaining_tests() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([0.2]) == [0.2]
    assert holm([]) == []


def test_holm_keeps_the_order_of_the_p_values() -> None:
    # 0.02 * 2 would be 0.04, below the 0.045 of the smaller 0.015.
    assert holm([0.015, 0.02, 0.9]) == pytest.approx([0.045, 0.045, 0.9])
