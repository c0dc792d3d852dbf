"""Tests for glasses_spark.evaluation.intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from glasses_spark.evaluation.intervals import auc_interval, mean_interval, wilson_interval


@pytest.mark.parametrize(
    ("successes", "trials", "expected"),
    [
        # Newcombe, Statistics in Medicine 17 (1998), page 857, table I, method 3.
        (81, 263, (0.2553, 0.3662)),
        (15, 148, (0.0624, 0.1605)),
        (0, 20, (0.0, 0.1611)),
        (1, 29, (0.0061, 0.1718)),
        (29, 29, (0.8830, 1.0)),
        (1, 1, (0.2065, 1.0)),
    ],
)
def test_the_interval_of_a_fraction_is_wilsons(
    successes: int, trials: int, expected: tuple[float, float]
) -> None:
    assert wilson_interval(successes, trials) == pytest.approx(expected, abs=5e-5)


def test_a_fraction_of_no_trials_has_no_interval() -> None:
    assert wilson_interval(0, 0) is None


def test_the_interval_of_a_mean_follows_from_its_standard_error() -> None:
    losses = np.array([0.1, 0.2, 0.4, 0.9])
    error = losses.std(ddof=1) / math.sqrt(4)
    low, high = 0.4 - 1.959964 * error, 0.4 + 1.959964 * error

    assert mean_interval(0.4, losses.var(), 4) == pytest.approx((low, high), rel=1e-6)
    assert mean_interval(0.4, 100.0, 4) == pytest.approx((0.0, 11.716), abs=1e-3)
    assert mean_interval(0.4, 0.0, 1) is None


@pytest.mark.parametrize(
    ("area", "positives", "negatives"),
    [(0.9, 50, 60), (0.5, 10, 10), (0.99, 1000, 30), (0.2, 9, 5)],
)
def test_the_bounds_of_an_area_solve_the_equation_of_the_interval(
    area: float, positives: int, negatives: int
) -> None:
    bounds = auc_interval(area, positives=positives, negatives=negatives)
    assert bounds is not None
    low, high = bounds
    assert 0 < low < area < high < 1
    m = (positives + negatives) / 2 - 1
    for a in bounds:
        q1, q2 = a / (2 - a), 2 * a**2 / (1 + a)  # as Hanley and McNeil write it
        variance = (a * (1 - a) + m * (q1 - a**2) + m * (q2 - a**2)) / (positives * negatives)
        assert abs(area - a) == pytest.approx(1.959964 * math.sqrt(variance), rel=1e-6)


def test_the_interval_of_an_area_of_one_has_a_width() -> None:
    bounds = auc_interval(1.0, positives=20, negatives=20)
    assert bounds is not None
    assert 0.8 < bounds[0] < 0.95
    assert bounds[1] == 1.0
    assert auc_interval(0.0, positives=20, negatives=20) == pytest.approx((0.0, 1 - bounds[0]))
    assert auc_interval(1.0, positives=0, negatives=20) is None


def test_the_interval_of_an_area_has_the_nominal_coverage() -> None:
    generator = np.random.default_rng(7)
    # The area for two normal distributions whose means differ by sqrt(2).
    true_area, covered = 0.5 * (1 + math.erf(1 / math.sqrt(2))), 0
    for _ in range(400):
        with_glasses = generator.normal(math.sqrt(2), 1, 40)
        without = generator.normal(0, 1, 60)
        area = (with_glasses[:, None] > without).mean()
        bounds = auc_interval(float(area), positives=40, negatives=60)
        assert bounds is not None
        covered += bounds[0] <= true_area <= bounds[1]
    assert 0.92 < covered / 400 < 0.98
