"""Tests for glasses_spark.evaluation.evaluate_parts."""

from __future__ import annotations

import pytest

from glasses_spark.evaluation.evaluate_parts import evaluate_parts
from glasses_spark.evaluation.scores import scores_of
from glasses_spark.evaluation.threshold import Costs

TRAIN = scores_of([0, 1], [0.1, 0.9])
VALIDATION = scores_of([0, 0, 1, 1], [0.1, 0.2, 0.4, 0.9])
TEST = scores_of([0, 1, 1, 1], [0.6, 0.7, 0.8, 0.2])


def test_each_part_is_evaluated_on_its_own_images() -> None:
    evaluation = evaluate_parts({"train": TRAIN, "test": TEST}, threshold=0.5, costs=Costs())

    assert {part: metrics.rows for part, metrics in evaluation.metrics.items()} == {
        "train": 2,
        "test": 4,
    }
    assert evaluation.metrics["train"].accuracy == 1.0
    assert evaluation.metrics["test"].accuracy == 0.5
    assert evaluation.metrics["test"].threshold == 0.5
    assert [bin_.count for bin_ in evaluation.curves["train"].reliability] == [1, 1]
    assert sum(bin_.positives for bin_ in evaluation.curves["test"].histogram) == 3


def test_thresholds_are_chosen_on_the_validation_set_and_not_applied_to_the_training_set() -> None:
    scores = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
    thresholds = evaluate_parts(scores, threshold=0.5, costs=Costs()).thresholds

    assert thresholds is not None
    best = thresholds.best["accuracy"]
    assert best.threshold == pytest.approx(0.3)
    assert list(best.outcomes) == ["validation", "test"]


def test_no_threshold_is_chosen_without_a_validation_set() -> None:
    evaluation = evaluate_parts({"train": TRAIN, "test": TEST}, threshold=0.5, costs=Costs())
    assert evaluation.thresholds is None
