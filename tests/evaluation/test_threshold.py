"""Tests for glasses_spark.evaluation.threshold."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from glasses_spark.evaluation.scores import Scores, scores_of
from glasses_spark.evaluation.threshold import Costs, best_thresholds, choose_thresholds

EQUAL = Costs()


def drawn(rows: int, seed: int = 0) -> Scores:
    generator = np.random.default_rng(seed)
    y = generator.random(rows) < 0.2
    return scores_of(y, np.clip(generator.normal(0.2 + 0.3 * y, 0.2), 0, 1).round(2))


@pytest.mark.parametrize(
    ("labels", "probabilities", "configured", "expected"),
    [
        pytest.param([0, 0, 1, 1], [0.1, 0.2, 0.4, 0.9], 0.5, 0.3, id="middle of the gap"),
        pytest.param(
            [0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9], 0.5, 0.5, id="the configured threshold is optimal"
        ),
        pytest.param(
            [0, 0, 1, 1],
            [0.1, 0.2, 0.6, 0.9],
            0.6,
            0.6,
            id="a threshold includes equal probabilities",
        ),
        pytest.param([1, 0, 1], [0.2, 0.6, 0.8], 0.65, 0.65, id="a tie goes to the closest"),
        pytest.param([0, 0], [0.6, 0.8], 0.5, 0.9, id="only negatives"),
        pytest.param([1, 1], [0.2, 0.4], 0.5, 0.1, id="only positives"),
        pytest.param([1], [0.0], 0.5, 0.0, id="probability 0"),
        pytest.param([1, 0], [0.3, 0.3], 0.5, 0.5, id="tied"),
        pytest.param([0], [1.0], 0.5, 0.5, id="a false positive at any threshold"),
    ],
)
def test_the_best_threshold_by_accuracy_separates_the_labels(
    labels: list[int], probabilities: list[float], configured: float, expected: float
) -> None:
    scores = scores_of(labels, probabilities)
    thresholds = best_thresholds(scores, configured=configured, costs=EQUAL)
    assert thresholds["accuracy"] == pytest.approx(expected)
    assert thresholds["cost"] == thresholds["accuracy"]  # equal costs are the accuracy


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("costs", [EQUAL, Costs(1, 10), Costs(3, 0.5), Costs(0, 1)])
def test_no_threshold_on_a_fine_grid_is_better_than_the_best(costs: Costs, seed: int) -> None:
    scores = drawn(300, seed)
    thresholds = best_thresholds(scores, configured=0.5, costs=costs)
    grid = np.linspace(0, 1, 1001)

    def best(value: Callable[[float], float | None]) -> float:
        return max(result for t in grid if (result := value(float(t))) is not None)

    def negative_cost(t: float) -> float | None:
        cost = scores.confusion(t).cost(
            false_positive=costs.false_positive, false_negative=costs.false_negative
        )
        return None if cost is None else -cost

    accuracy = scores.confusion(thresholds["accuracy"]).accuracy
    assert accuracy == best(lambda t: scores.confusion(t).accuracy)
    balanced = scores.confusion(thresholds["balanced_accuracy"]).balanced_accuracy
    assert balanced == pytest.approx(best(lambda t: scores.confusion(t).balanced_accuracy))
    assert negative_cost(thresholds["cost"]) == pytest.approx(best(negative_cost))


def test_expensive_false_negatives_lower_the_threshold_and_false_positives_raise_it() -> None:
    scores = drawn(1000)
    low, middle, high = (
        best_thresholds(scores, configured=0.5, costs=costs)["cost"]
        for costs in (Costs(1, 20), EQUAL, Costs(20, 1))
    )
    assert low < middle < high


def test_images_of_one_label_have_no_balanced_accuracy() -> None:
    thresholds = best_thresholds(scores_of([1, 1], [0.2, 0.9]), configured=0.5, costs=EQUAL)
    assert set(thresholds) == {"accuracy", "cost"}


def test_thresholds_are_chosen_on_the_validation_set_and_applied_to_the_test_set() -> None:
    validation = scores_of([0, 0, 1, 1], [0.1, 0.2, 0.4, 0.9])
    test = scores_of([0, 1, 1], [0.35, 0.32, 0.4])

    thresholds = choose_thresholds(
        {"validation": validation, "test": test},
        on="validation",
        configured=0.5,
        costs=Costs(false_positive=6, false_negative=3),
    )

    choice = thresholds.best["accuracy"]
    assert choice.threshold == pytest.approx(0.3)
    assert choice.outcomes["validation"].accuracy == 1.0
    # The best threshold on the test set would be a different one.
    outcome = choice.outcomes["test"]
    assert (outcome.tp, outcome.fp, outcome.tn, outcome.fn) == (2, 1, 0, 0)
    assert outcome.cost == pytest.approx(6 / 3)
    assert thresholds.configured.outcomes["test"].cost == pytest.approx(2 * 3 / 3)
    values = thresholds.as_dict()
    assert json.loads(json.dumps(values)) == values
    assert values["costs"] == {"false_positive": 6, "false_negative": 3}
