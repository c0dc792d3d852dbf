"""Judgement: all that an evaluation tells of a run's parts, from their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from glasses_spark.evaluation.curves import Curves, make_curves
from glasses_spark.evaluation.metrics import Metrics, metrics_of
from glasses_spark.evaluation.scores import Scores
from glasses_spark.evaluation.threshold import Costs, Thresholds, choose_thresholds
from glasses_spark.preprocessing.split import TEST, VALIDATION


@dataclass(frozen=True)
class Judgement:
    """What is known of the predictions of a run.

    Attributes:
        metrics: Metrics by part.
        curves: What there is to draw, by part.
        thresholds: Other thresholds than the configured one, chosen on the validation
            images; None where there are none to choose on.
    """

    metrics: Mapping[str, Metrics]
    curves: Mapping[str, Curves]
    thresholds: Thresholds | None


def judge(scores: Mapping[str, Scores], *, threshold: float, costs: Costs) -> Judgement:
    """Judge the parts of a run.

    Args:
        scores: Scores by part: ``train`` and ``test``, and ``validation`` where
            there is one.
        threshold: Probability of glasses from which the predicted label is 1.
        costs: What a wrong label costs.
    """
    thresholds = None
    if VALIDATION in scores:
        # The part that was trained on would say that all is well with any threshold.
        unseen = {part: scores[part] for part in (VALIDATION, TEST) if part in scores}
        thresholds = choose_thresholds(unseen, on=VALIDATION, configured=threshold, costs=costs)
    return Judgement(
        metrics={part: metrics_of(one, threshold=threshold) for part, one in scores.items()},
        curves={part: make_curves(one) for part, one in scores.items()},
        thresholds=thresholds,
    )
