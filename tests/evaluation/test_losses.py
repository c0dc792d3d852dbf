"""Tests for glasses_spark.evaluation.losses."""

from __future__ import annotations

import math

import pytest

from glasses_spark.evaluation.losses import brier_score, log_loss, stable_log_loss
from glasses_spark.evaluation.scores import scores_of


def test_the_log_loss_is_the_mean_negative_log_likelihood() -> None:
    loss = log_loss(scores_of([1, 0], [0.5, 0.75]))

    assert loss.mean == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert loss.variance == pytest.approx((math.log(2) / 2) ** 2)


def test_the_log_loss_of_a_confident_error_is_that_of_the_clipped_probability() -> None:
    assert log_loss(scores_of([1], [0.0])).mean == pytest.approx(-math.log(1e-7))


@pytest.mark.parametrize(
    ("label", "logit", "expected"),
    [(0, 0.0, math.log(2)), (1, -800.0, 800.0), (0, 800.0, 800.0), (1, 800.0, 0.0)],
)
def test_the_stable_log_loss_does_not_overflow(label: int, logit: float, expected: float) -> None:
    assert stable_log_loss(scores_of([label], [0.5], [logit])).mean == pytest.approx(expected)


def test_the_brier_score_is_the_mean_squared_difference() -> None:
    assert brier_score(scores_of([1, 0, 0], [0.5, 0.5, 0.1])) == pytest.approx(0.51 / 3)
