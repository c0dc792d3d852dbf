"""Metrics of predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import PREDICTED_LABEL, PREDICTION
from glasses_spark.errors import ScoringError
from glasses_spark.evaluation.calibration import expected_calibration_error
from glasses_spark.evaluation.class_metrics import class_metrics, f1_means
from glasses_spark.evaluation.confusion import Confusion
from glasses_spark.evaluation.curves import reliability
from glasses_spark.evaluation.intervals import (
    Interval,
    auc_interval,
    mean_interval,
    wilson_interval,
)
from glasses_spark.evaluation.losses import brier_score, log_loss, stable_log_loss
from glasses_spark.evaluation.ranking import rank
from glasses_spark.evaluation.regression_metrics import regression_metrics
from glasses_spark.evaluation.scores import Counts, Scores, collect_scores, probability_column
from glasses_spark.evaluation.summary import line, number_text
from glasses_spark.evaluation.task import MORE_CLASSES, REGRESSION, task_from_schema, task_of
from glasses_spark.notebook_html import cell, table
from glasses_spark.runtime.frames import require_frame
from glasses_spark.runtime.spark_errors import spark_errors

# Rows of the summary table: the main metrics, and none that the confusion counts imply.
_SHOWN: Final = (
    "rows",
    "accuracy",
    "log_loss",
    "stable_log_loss",
    "roc_auc",
    "expected_calibration_error",
    "tp",
    "fp",
    "tn",
    "fn",
)
# The full name would double the width of the table.
_SHORT: Final = {"expected_calibration_error": "calibration error"}


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Metrics of the predictions of one set of images; positive means glasses.

    Undefined metrics are None: precision without predicted positives, areas and correlations
    if all images have the same label.

    Attributes:
        rows: Number of images, at least 1.
        threshold: Probability of glasses from which the predicted label is 1.
        accuracy: Fraction in [0, 1] of images with a correct predicted label.
        balanced_accuracy: Mean of recall and specificity, in [0, 1].
        precision: Fraction in [0, 1] of the predicted positives that are positives.
        recall: Fraction in [0, 1] of the positives that are predicted as such.
        specificity: Fraction in [0, 1] of the negatives that are predicted as such.
        f1: Harmonic mean of precision and recall, in [0, 1].
        mcc: Matthews' correlation of label and predicted label, in [-1, 1].
        roc_auc: Area under the ROC curve in [0, 1], ties counted half.
        pr_auc: Area under the precision-recall curve in [0, 1], as average precision.
        log_loss: Mean binary cross-entropy, nats per image, of probabilities clipped to
            [1e-7, 1 - 1e-7]; at most 16.2.
        stable_log_loss: The same from the logits, without clipping if the predictions have
            logits; always finite.
        brier_score: Mean squared difference of probability and label, in [0, 1].
        expected_calibration_error: Mean difference in [0, 1] of predicted probability and
            observed frequency over 15 bins of equal width, those of `reliability`.
        tp: True positives.
        fp: False positives.
        tn: True negatives.
        fn: False negatives.
        intervals: Lower and upper bound of the 95 % interval, by name of the metric:
            ``accuracy``, ``precision``, ``recall``, ``specificity``, ``roc_auc``, ``log_loss``.
    """

    rows: int
    threshold: float
    accuracy: float
    balanced_accuracy: float | None
    precision: float | None
    recall: float | None
    specificity: float | None
    f1: float | None
    mcc: float | None
    roc_auc: float | None
    pr_auc: float | None
    log_loss: float
    stable_log_loss: float
    brier_score: float
    expected_calibration_error: float
    tp: int
    fp: int
    tn: int
    fn: int
    intervals: Mapping[str, Interval | None]

    @property
    def macro_f1(self) -> float:
        """Mean F1 of both labels, in [0, 1]."""
        return f1_means(self._counts())[0]

    @property
    def weighted_f1(self) -> float:
        """Mean F1 of both labels, weighted by their images, in [0, 1]."""
        return f1_means(self._counts())[1]

    def _counts(self) -> Counts:
        return np.array([[self.tn, self.fp], [self.fn, self.tp]])

    def as_dict(self) -> dict[str, Any]:
        """Return the metrics by name, ready for JSON."""
        values = asdict(self)
        # Lists, as a reader of the JSON gets them.
        values["intervals"] = {
            name: None if bounds is None else list(bounds)
            for name, bounds in self.intervals.items()
        }
        return values

    def __str__(self) -> str:
        return metrics_table({"": self})

    def _repr_html_(self) -> str:
        title = f"Accuracy {number_text(self.accuracy)} on {self.rows:,} images"
        return cell(title, metrics_html({"": self}))


@spark_errors(ScoringError, "the evaluation")
def evaluate(predictions: DataFrame, *, threshold: float = 0.5) -> Metrics | Any:
    """Compute the metrics of predictions.

    What a prediction is decides on the metrics; ``docs/evaluation.md`` has the rules, explains
    each metric and names the source of its formula.

    Args:
        predictions: One row per image: ``label`` (double) and ``prediction``, as
            `GlassesModel.transform` returns it, and optionally ``rawPrediction`` (double, the
            logit of one probability, finite).
        threshold: Probability of label 1 from which the predicted label of two is 1.

    Returns:
        `Metrics` of one or two probabilities or their logits, `ClassMetrics` of more,
        `RegressionMetrics` of a number. Type checkers take
        the others for `Any`, so that code which expects one of them needs no check.

    Raises:
        ScoringError: There are no rows, a column is missing, the predictions are none of
            these, or a row has an invalid label or prediction. No row is dropped silently.
    """
    require_frame(predictions, "evaluate")
    task = task_of(predictions)
    if task.name == REGRESSION:
        return regression_metrics(predictions)
    if task.name == MORE_CLASSES:
        return class_metrics(predictions, classes=task.outputs, logits=task.logits)
    return binary_metrics(predictions, threshold=threshold)


def binary_metrics(predictions: DataFrame, *, threshold: float = 0.5) -> Metrics:
    """Compute the metrics of two labels, in one Spark job up to 200,000 rows, else in two.

    Args:
        predictions: See `collect_scores`.
        threshold: Probability of glasses from which the predicted label is 1.

    Raises:
        ScoringError: See `collect_scores`.
    """
    (scores,) = collect_scores(predictions, threshold=threshold).values()
    return metrics_of(scores, threshold=threshold)


def metrics_of(scores: Scores, *, threshold: float) -> Metrics:
    """Compute the metrics of scores of at least one image."""
    confusion, ranking = scores.confusion(threshold), rank(scores)
    accuracy, loss, area = confusion.accuracy, log_loss(scores), ranking.roc_auc()
    assert accuracy is not None  # scores hold at least one image
    return Metrics(
        rows=scores.rows,
        threshold=threshold,
        accuracy=accuracy,
        balanced_accuracy=confusion.balanced_accuracy,
        precision=confusion.precision,
        recall=confusion.recall,
        specificity=confusion.specificity,
        f1=confusion.f1,
        mcc=confusion.mcc,
        roc_auc=area,
        pr_auc=ranking.average_precision(),
        log_loss=loss.mean,
        stable_log_loss=stable_log_loss(scores).mean,
        brier_score=brier_score(scores),
        expected_calibration_error=expected_calibration_error(reliability(scores)),
        tp=confusion.tp,
        fp=confusion.fp,
        tn=confusion.tn,
        fn=confusion.fn,
        intervals={
            **_fraction_intervals(confusion),
            "roc_auc": None
            if area is None
            else auc_interval(area, positives=ranking.positives, negatives=ranking.negatives),
            "log_loss": mean_interval(loss.mean, loss.variance, scores.rows),
        },
    )


def add_predicted_label(predictions: DataFrame, *, threshold: float = 0.5) -> DataFrame:
    """Add ``predicted_label`` (double).

    It is 1.0 where the probability of label 1 is at least the threshold, else 0.0. Of three or
    more classes it is the first of the most probable ones.

    Raises:
        ScoringError: The predictions are not those of classes.
    """
    if task_from_schema(predictions).name == REGRESSION:
        raise ScoringError(
            f"expected probabilities or logits as {PREDICTION}, found numbers of {REGRESSION}"
        )
    of_two = (probability_column(predictions) >= threshold).cast("double")
    outputs = F.col(PREDICTION)
    most_probable = F.array_position(outputs, F.array_max(outputs)) - 1
    label = F.when(F.size(outputs) > 2, most_probable.cast("double")).otherwise(of_two)
    return predictions.withColumn(PREDICTED_LABEL, label)


def metrics_table(parts: Mapping[str, Metrics]) -> str:
    """Format the main metrics as a text table with one column per part.

    Args:
        parts: Metrics by part, such as ``train`` and ``test``.

    Returns:
        Lines without a final newline.
    """
    lines = [line("", parts)] if any(parts) else []
    for name in _SHOWN:
        texts = [number_text(getattr(metrics, name)) for metrics in parts.values()]
        lines.append(line(_SHORT.get(name, name).replace("_", " "), texts))
        if name == "accuracy":
            intervals = [_interval_text(metrics.intervals[name]) for metrics in parts.values()]
            lines.append(line("  95 % interval", intervals))
    return "\n".join(lines)


def metrics_html(parts: Mapping[str, Metrics]) -> str:
    """Format the main metrics for a notebook, each with its 95 % interval below it."""
    rows = []
    for name in _SHOWN:
        cells = []
        for metrics in parts.values():
            lines = [number_text(getattr(metrics, name))]
            if name in metrics.intervals:
                lines.append(_interval_text(metrics.intervals[name]))
            cells.append("\n".join(lines))
        rows.append([_SHORT.get(name, name).replace("_", " "), *cells])
    return table(["", *parts], rows)


def _fraction_intervals(confusion: Confusion) -> dict[str, Interval | None]:
    fractions = {
        "accuracy": (confusion.correct, confusion.rows),
        "precision": (confusion.tp, confusion.tp + confusion.fp),
        "recall": (confusion.tp, confusion.tp + confusion.fn),
        "specificity": (confusion.tn, confusion.tn + confusion.fp),
    }
    return {name: wilson_interval(*counts) for name, counts in fractions.items()}


def _interval_text(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval[0]:.4f}-{interval[1]:.4f}"
