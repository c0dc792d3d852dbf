"""Metrics of predictions of three or more classes."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from glasses_spark.columns import LABEL, PREDICTION
from glasses_spark.errors import ScoringError
from glasses_spark.evaluation.scores import EPSILON, Counts
from glasses_spark.evaluation.summary import metric_lines
from glasses_spark.evaluation.task import SUM_TOLERANCE
from glasses_spark.runtime.persist import persist

_PREDICTED: Final = "predicted"
_CLASS: Final = "class"
_SCORE: Final = "score"


@dataclass(frozen=True, kw_only=True)
class ClassMetrics:
    """Metrics of probabilities of three or more classes, as scikit-learn computes them.

    Attributes:
        rows: Number of rows, at least 1.
        classes: Number of classes, at least 3.
        accuracy: Fraction in [0, 1] of rows whose most probable class is the label; the first
            of equally probable classes counts.
        log_loss: Mean cross-entropy, nats per row, of probabilities clipped to
            [1e-7, 1 - 1e-7].
        macro_f1: Mean in [0, 1] of the F1 of all classes that are a label or a prediction.
        weighted_f1: The same mean, weighted by the rows with the class as label.
        roc_auc: Mean over the classes of the area under the ROC curve of the class against
            all others, in [0, 1]; None if no row, or every row, has one of the classes.
    """

    rows: int
    classes: int
    accuracy: float
    log_loss: float
    macro_f1: float
    weighted_f1: float
    roc_auc: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return the metrics by name, ready for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return metric_lines(self.as_dict())


def class_metrics(predictions: DataFrame, *, classes: int, logits: bool) -> ClassMetrics:
    """Compute the metrics of several classes, exactly for any number of rows.

    The driver receives counts only, by label and predicted class.

    Args:
        predictions: ``label`` (whole number from 0 to ``classes`` - 1) and ``prediction``
            (array of ``classes`` numbers).
        classes: Number of classes, at least 3.
        logits: Whether the predictions are logits, and not probabilities that sum to 1.

    Raises:
        ScoringError: There are no rows, or a row has an invalid label or prediction.
    """
    outputs = F.col(PREDICTION).cast("array<double>")
    rows = predictions.select(
        F.col(LABEL).cast("double").alias(LABEL),
        (_softmax(outputs) if logits else outputs).alias(PREDICTION),
    )
    # Persisted, so that a model behind `predictions` scores once for both queries.
    is_cached_already = predictions.is_cached
    if not is_cached_already:
        persist(rows)
    try:
        counts, loss = _confusion(rows, classes=classes)
        areas = _areas(rows)
    finally:
        if not is_cached_already:
            rows.unpersist()
    total = int(counts.sum())
    macro, weighted = f1_means(counts)
    return ClassMetrics(
        rows=total,
        classes=classes,
        accuracy=int(np.trace(counts)) / total,
        log_loss=loss / total,
        macro_f1=macro,
        weighted_f1=weighted,
        roc_auc=statistics.fmean(areas) if len(areas) == classes else None,
    )


def f1_means(counts: Counts) -> tuple[float, float]:
    """Return the mean F1 of the classes, unweighted and weighted by their rows.

    Args:
        counts: ``(classes, classes)``, rows by label and predicted class.
    """
    labelled, predicted = counts.sum(axis=1), counts.sum(axis=0)
    occurs = labelled + predicted > 0
    f1 = 2 * np.diag(counts)[occurs] / (labelled + predicted)[occurs]
    return float(f1.mean()), float(f1 @ labelled[occurs] / labelled.sum())


def _confusion(rows: DataFrame, *, classes: int) -> tuple[Counts, float]:
    """Count the rows by label and predicted class, and sum the loss; check every row."""
    label, probabilities = F.col(LABEL), F.col(PREDICTION)
    is_label = F.coalesce(label.between(0, classes - 1) & (label == F.floor(label)), F.lit(False))
    is_size = F.coalesce(F.size(probabilities) == classes, F.lit(False))
    is_usable = F.coalesce(_are_probabilities(probabilities), F.lit(False))
    number = F.when(is_label, label).cast("int")
    clipped = F.least(F.greatest(F.get(probabilities, number), F.lit(EPSILON)), F.lit(1 - EPSILON))
    table = (
        rows.groupBy(
            number.alias(LABEL),
            (F.array_position(probabilities, F.array_max(probabilities)) - 1).alias(_PREDICTED),
        )
        .agg(
            F.count("*").alias("rows"),
            F.sum(-F.log(clipped)).alias("loss"),
            _offending(is_label, label).alias("labels"),
            _offending(is_size, F.size(probabilities)).alias("sizes"),
            _offending(is_usable, probabilities).alias("probabilities"),
        )
        .collect()
    )
    _require_usable(table, classes=classes)
    counts = np.zeros((classes, classes), np.int64)
    for row in table:
        counts[row[LABEL], row[_PREDICTED]] += row["rows"]
    return counts, sum(row["loss"] for row in table)


def _areas(rows: DataFrame) -> list[float]:
    """Return the area under the ROC curve of each class against all others, where defined.

    The probability that a row of the class gets a higher probability of it than another row,
    with ties counted half, as in `Ranking.roc_auc`.
    """
    by_score = (
        rows.select(LABEL, F.posexplode(PREDICTION).alias(_CLASS, _SCORE))
        .groupBy(_CLASS, _SCORE)
        .agg(
            F.count_if(F.col(LABEL) == F.col(_CLASS)).alias("positives"),
            F.count_if(F.col(LABEL) != F.col(_CLASS)).alias("negatives"),
        )
    )
    lower = Window.partitionBy(_CLASS).orderBy(_SCORE).rowsBetween(Window.unboundedPreceding, -1)
    pairs = F.col("positives") * (F.coalesce("below", F.lit(0)) + F.col("negatives") / 2)
    table = (
        by_score.withColumn("below", F.sum("negatives").over(lower))
        .groupBy(_CLASS)
        .agg(
            F.sum(pairs).alias("pairs"),
            F.sum("positives").alias("positives"),
            F.sum("negatives").alias("negatives"),
        )
        .collect()
    )
    return [
        row["pairs"] / row["positives"] / row["negatives"]
        for row in table
        if row["positives"] and row["negatives"]
    ]


def _softmax(logits: Column) -> Column:
    powers = _bind(F.array_max(logits), lambda most: F.transform(logits, lambda z: F.exp(z - most)))
    return _bind(
        powers,
        lambda bound: _bind(
            _sum(bound), lambda total: F.transform(bound, lambda power: power / total)
        ),
    )


def _bind(value: Column, body: Callable[[Column], Column]) -> Column:
    """Evaluate a value once per row: inside a lambda, Spark would do it for each element."""
    return F.get(F.transform(F.array(value), body), 0)


def _sum(numbers: Column) -> Column:
    return F.aggregate(numbers, F.lit(0.0), lambda total, number: total + number)


def _are_probabilities(numbers: Column) -> Column:
    are_fractions = F.forall(numbers, lambda p: p.between(0.0, 1.0))
    return are_fractions & (F.abs(_sum(numbers) - 1) <= SUM_TOLERANCE)


def _offending(is_good: Column, value: Column) -> Column:
    """Aggregate to the number of bad values and one of them."""
    text = F.coalesce(value.cast("string"), F.lit("null"))
    return F.struct(F.count_if(~is_good), F.first(F.when(~is_good, text), ignorenulls=True))


def _require_usable(table: Sequence[Any], *, classes: int) -> None:
    total = sum(row["rows"] for row in table)
    if total == 0:
        raise ScoringError("cannot evaluate: expected at least one prediction, found none")
    expected = {
        "labels": f"labels whole numbers from 0 to {classes - 1}, for {classes} outputs",
        "sizes": f"predictions arrays of {classes} numbers",
        "probabilities": "predictions probabilities that sum to 1, or finite logits",
    }
    for name, expectation in expected.items():
        wrong = sum(row[name][0] for row in table)
        if wrong:
            example = next(row[name][1] for row in table if row[name][0])
            raise ScoringError(
                f"cannot evaluate: expected all {expectation}, found {wrong} of {total} rows "
                f"with others, such as {example}"
            )
