"""Metrics: how good predictions are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from pyspark.sql import DataFrame

from glasses_spark.columns import PREDICTED_LABEL, SPLIT
from glasses_spark.evaluation.calibration import expected_calibration_error
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
from glasses_spark.evaluation.scores import Scores, collect_scores, probability_column
from glasses_spark.notebook_html import cell, table

# The rows of the table: what is looked at first, and nothing that follows from it.
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
# Elsewhere by its full name; here it would double the width of the table.
_SHORT: Final = {"expected_calibration_error": "calibration error"}


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """How good the predictions of one set of images are.

    What is undefined is None: precision where no image was taken for one with glasses,
    the areas and correlations where all images have one label.

    Attributes:
        rows: Images judged, at least 1.
        threshold: Probability of glasses from which the predicted label is 1.
        accuracy: Fraction in [0, 1] of images whose predicted label is right.
        balanced_accuracy: Mean of recall and specificity, in [0, 1].
        precision: Fraction in [0, 1] of the images taken for some with glasses that
            have some.
        recall: Fraction in [0, 1] of the images with glasses that were found.
        specificity: Fraction in [0, 1] of the images without that were found.
        f1: Harmonic mean of precision and recall, in [0, 1].
        mcc: Matthews' correlation of label and predicted label, in [-1, 1].
        roc_auc: Area under the ROC curve in [0, 1], ties counted half.
        pr_auc: Area under the precision-recall curve in [0, 1], as average precision.
        log_loss: Mean binary cross-entropy, nats per image, of probabilities
            clipped to [1e-7, 1 - 1e-7]; so never above 16.2.
        stable_log_loss: The same from the logits, without clipping where the
            predictions carry logits; finite in any case.
        brier_score: Mean squared distance of probability and label, in [0, 1].
        expected_calibration_error: Mean distance in [0, 1] of probability and frequency
            over 15 bins of equal width, those of `reliability`.
        tp: Images with glasses that were found.
        fp: Images without glasses that were taken for some with.
        tn: Images without glasses that were found.
        fn: Images with glasses that were missed.
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

    def as_dict(self) -> dict[str, Any]:
        """Return the metrics by name, ready for JSON."""
        found = asdict(self)
        # As JSON gives them back.
        found["intervals"] = {
            name: None if bounds is None else list(bounds)
            for name, bounds in self.intervals.items()
        }
        return found

    def __str__(self) -> str:
        return metrics_table({"": self})

    def _repr_html_(self) -> str:
        title = f"Accuracy {_shown(self.accuracy)} on {self.rows:,} images"
        return cell(title, metrics_html({"": self}))


def evaluate(predictions: DataFrame, *, threshold: float = 0.5) -> Metrics:
    """Judge predictions against labels, in one Spark job up to 200,000 rows, beyond in two.

    ``docs/evaluation.md`` explains each number, and gives the source of its formula.

    Args:
        predictions: One row an image: ``label`` (double, 0.0 or 1.0), ``prediction``
            (array<double>, first the probability of glasses in [0, 1]) and, where present,
            ``rawPrediction`` (double, its logit, finite).
        threshold: Probability of glasses from which the predicted label is 1.

    Returns:
        The metrics.

    Raises:
        ScoringError: There is no row, a column is missing, or a row has no usable label,
            probability or logit; none is ever left out in silence.
    """
    (scores,) = collect_scores(predictions, threshold=threshold).values()
    return metrics_of(scores, threshold=threshold)


def evaluate_parts(predictions: DataFrame, *, threshold: float = 0.5) -> dict[str, Metrics]:
    """Judge the predictions of each part in the one pass of `evaluate`.

    Args:
        predictions: As for `evaluate`, and ``split`` (string), the part of a row.
        threshold: Probability of glasses from which the predicted label is 1.

    Returns:
        The metrics of each part that has rows, by its name.

    Raises:
        ScoringError: As for `evaluate`.
    """
    scores = collect_scores(predictions, part=SPLIT, threshold=threshold)
    return {part: metrics_of(one, threshold=threshold) for part, one in scores.items()}


def metrics_of(scores: Scores, *, threshold: float) -> Metrics:
    """Judge scores that are in the driver, at least one image's."""
    confusion, ranking = scores.confusion(threshold), rank(scores)
    accuracy, loss, area = confusion.accuracy, log_loss(scores), ranking.roc_auc()
    assert accuracy is not None  # there is at least one image
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
    """Add ``predicted_label`` (double): 1.0 where ``prediction[0] >= threshold``, else 0.0."""
    label = (probability_column() >= threshold).cast("double")
    return predictions.withColumn(PREDICTED_LABEL, label)


def metrics_table(parts: Mapping[str, Metrics]) -> str:
    """Lay out the metrics that are looked at first as a table of text, one column a part.

    Args:
        parts: Metrics by the name of their part, such as ``train`` and ``test``.

    Returns:
        Lines without a newline at the end.
    """
    lines = [_line("", parts)] if any(parts) else []
    for name in _SHOWN:
        shown = [_shown(getattr(metrics, name)) for metrics in parts.values()]
        lines.append(_line(_SHORT.get(name, name).replace("_", " "), shown))
        if name == "accuracy":
            bounds = [_bounds(metrics.intervals[name]) for metrics in parts.values()]
            lines.append(_line("  95 % interval", bounds))
    return "\n".join(lines)


def metrics_html(parts: Mapping[str, Metrics]) -> str:
    """Lay out the same for a notebook, with the 95 % intervals below their metrics."""
    rows = []
    for name in _SHOWN:
        shown = [
            "\n".join(
                [
                    _shown(getattr(metrics, name)),
                    *([_bounds(metrics.intervals[name])] if name in metrics.intervals else []),
                ]
            )
            for metrics in parts.values()
        ]
        rows.append([_SHORT.get(name, name).replace("_", " "), *shown])
    return table(["", *parts], rows)


def _fraction_intervals(confusion: Confusion) -> dict[str, Interval | None]:
    found = {
        "accuracy": (confusion.right, confusion.rows),
        "precision": (confusion.tp, confusion.tp + confusion.fp),
        "recall": (confusion.tp, confusion.tp + confusion.fn),
        "specificity": (confusion.tn, confusion.tn + confusion.fp),
    }
    return {name: wilson_interval(part, of) for name, (part, of) in found.items()}


def _line(name: str, values: Iterable[str]) -> str:
    return f"{name:<18}" + "".join(f"{value:>15}" for value in values)


def _shown(value: float | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _bounds(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval[0]:.4f}-{interval[1]:.4f}"
