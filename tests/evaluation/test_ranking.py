"""Tests for glasses_spark.evaluation.ranking."""

from __future__ import annotations

import pytest

from glasses_spark.evaluation.ranking import rank
from glasses_spark.evaluation.scores import scores_of


def test_counts_are_cumulative_over_descending_probabilities() -> None:
    ranking = rank(scores_of([1, 0, 1, 0, 1], [0.2, 0.9, 0.9, 0.4, 0.6]))

    assert ranking.threshold.tolist() == [0.9, 0.6, 0.4, 0.2]
    assert ranking.true_positives.tolist() == [1, 2, 2, 3]
    assert ranking.false_positives.tolist() == [1, 1, 2, 2]
    assert (ranking.positives, ranking.negatives) == (3, 2)


def test_areas_are_those_of_a_hand_calculation() -> None:
    ranking = rank(scores_of([1, 0, 1, 0, 1], [0.2, 0.9, 0.9, 0.4, 0.6]))

    # Pairs: 0.2 is below both; 0.9 ties with 0.9 and is above 0.4; 0.6 is above 0.4.
    assert ranking.roc_auc() == pytest.approx((0 + 1.5 + 1) / 6)
    assert ranking.average_precision() == pytest.approx((1 / 2 + 2 / 3 + 3 / 5) / 3)


@pytest.mark.parametrize("label", [0, 1])
def test_areas_of_one_label_are_undefined(label: int) -> None:
    ranking = rank(scores_of([label, label], [0.3, 0.7]))

    assert not ranking.has_both_labels
    assert ranking.roc_auc() is None
    assert ranking.average_precision() is None
