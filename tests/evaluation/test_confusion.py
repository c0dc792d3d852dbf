"""Tests for glasses_spark.evaluation.confusion."""

from __future__ import annotations

import pytest

from glasses_spark.evaluation.confusion import Confusion


def test_metrics_follow_from_the_counts() -> None:
    confusion = Confusion(tp=6, fp=2, tn=10, fn=2)

    assert (confusion.rows, confusion.correct) == (20, 16)
    assert confusion.accuracy == 0.8
    assert confusion.precision == 0.75
    assert confusion.recall == 0.75
    assert confusion.specificity == pytest.approx(10 / 12)
    assert confusion.balanced_accuracy == pytest.approx((0.75 + 10 / 12) / 2)
    assert confusion.f1 == 0.75
    # (6 * 10 - 2 * 2) / sqrt(8 * 8 * 12 * 12)
    assert confusion.mcc == pytest.approx(56 / 96)


def test_a_fraction_of_nothing_is_none() -> None:
    no_images = Confusion(tp=0, fp=0, tn=0, fn=0)
    assert no_images.accuracy is None
    assert no_images.cost(false_positive=1, false_negative=1) is None

    no_positives = Confusion(tp=0, fp=0, tn=3, fn=0)
    assert no_positives.accuracy == 1.0
    assert no_positives.precision is None
    assert no_positives.recall is None
    assert no_positives.balanced_accuracy is None
    assert no_positives.mcc is None


def test_the_cost_weighs_both_kinds_of_error() -> None:
    confusion = Confusion(tp=1, fp=2, tn=4, fn=3)
    assert confusion.cost(false_positive=5, false_negative=10) == 4.0


def test_large_counts_do_not_overflow() -> None:
    count = 10**12
    assert Confusion(tp=count, fp=0, tn=count, fn=0).mcc == 1.0
