"""Evaluation of all parts of the split: metrics, curves and thresholds from their scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from glasses_spark.columns import TEST, VALIDATION
from glasses_spark.evaluation.curves import Curves, make_curves
from glasses_spark.evaluation.metrics import Metrics, metrics_of
from glasses_spark.evaluation.scores import Scores
from glasses_spark.evaluation.threshold import Costs, Thresholds, choose_thresholds


@dataclass(frozen=True)
class PartsEvaluation:
    """Evaluation of the predictions of a run.

    Attributes:
        metrics: Metrics by part.
        curves: Curves by part.
        thresholds: The best thresholds on the validation set; None without one.
    """

    metrics: Mapping[str, Metrics]
    curves: Mapping[str, Curves]
    thresholds: Thresholds | None


def evaluate_parts(
    scores: Mapping[str, Scores], *, threshold: float, costs: Costs
) -> PartsEvaluation:
    """Evaluate the parts of a run.

    Args:
        scores: Scores by part: ``train``, ``test`` and optionally ``validation``.
        threshold: Probability of glasses from which the predicted label is 1.
        costs: Costs of wrong predictions.
    """
    thresholds = None
    if VALIDATION in scores:
        # Not the training set: a model fits its labels at almost any threshold.
        unseen = {part: scores[part] for part in (VALIDATION, TEST) if part in scores}
        thresholds = choose_thresholds(unseen, on=VALIDATION, configured=threshold, costs=costs)
    return PartsEvaluation(
        metrics={
            part: metrics_of(part_scores, threshold=threshold)
            for part, part_scores in scores.items()
        },
        curves={part: make_curves(part_scores) for part, part_scores in scores.items()},
        thresholds=thresholds,
    )
