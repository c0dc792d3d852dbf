"""Cross-validation: folds, one fit per fold, and the metrics of each fold."""

from __future__ import annotations

import logging
import math
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, TypeVar

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from glasses_spark.columns import CLUSTER, FOLD, ID, LABEL
from glasses_spark.config.fields import whole_number
from glasses_spark.config.training import FEWEST_FOLDS
from glasses_spark.errors import DataError
from glasses_spark.evaluation.metrics import Metrics
from glasses_spark.preprocessing.split import split_key
from glasses_spark.runtime.persist import persist

logger = logging.getLogger(__name__)

M = TypeVar("M")

_DRAW: Final = "draw"
_STRATUM: Final = "stratum"

# Metrics in the table and on the page; the JSON file has all of them.
SHOWN: Final = ("accuracy", "log_loss", "stable_log_loss", "roc_auc")


@dataclass(frozen=True)
class FoldResult:
    """Result of one fold.

    Attributes:
        fold: Number of the held-out fold, from 0.
        train_rows: Number of training images.
        metrics: Metrics of the held-out images.
        fit_s: Duration of the fit in seconds.
        score_s: Duration of scoring and evaluation in seconds.
    """

    fold: int
    train_rows: int
    metrics: Metrics
    fit_s: float
    score_s: float

    def as_dict(self) -> dict[str, Any]:
        """Return the result with its metrics by name, ready for JSON."""
        times = {"fit_s": self.fit_s, "score_s": self.score_s}
        return {
            "fold": self.fold,
            "train_rows": self.train_rows,
            **self.metrics.as_dict(),
            **times,
        }


@dataclass(frozen=True)
class Folds:
    """Result of a cross-validation.

    Attributes:
        results: One result per fold, in order.
        predictions: Out-of-fold predictions, as returned by ``predict``, and ``fold`` (int);
            persisted until ``unpersist()``.
        persisted: The persisted frames behind ``predictions``, one per fold.
    """

    results: tuple[FoldResult, ...]
    predictions: DataFrame
    persisted: tuple[DataFrame, ...]

    def unpersist(self) -> None:
        """Unpersist the predictions."""
        for frame in self.persisted:
            frame.unpersist()

    def mean(self) -> dict[str, float]:
        """Return the mean over the folds of each metric that is defined in all of them."""
        return {name: statistics.fmean(values) for name, values in self._values().items()}

    def standard_deviation(self) -> dict[str, float]:
        """Return the sample standard deviation (n - 1) over the folds of the same metrics.

        It measures the variation between folds, not the uncertainty of the mean: the models
        share most of their training images (Bengio and Grandvalet, JMLR 5, 2004).
        """
        return {name: statistics.stdev(values) for name, values in self._values().items()}

    def _values(self) -> dict[str, list[float]]:
        metrics = [result.metrics.as_dict() for result in self.results]
        return {
            name: [values[name] for values in metrics]
            for name in metrics[0]
            if name != "threshold" and all(_is_number(values[name]) for values in metrics)
        }


def assign_folds(images: DataFrame, *, folds: int, seed: int) -> DataFrame:
    """Assign each image to a fold, stratified by label, with near-duplicates in one fold.

    The images of a label are ordered by a hash of seed and id and assigned to the folds in
    turn. The assignment does not depend on the order of the files or on partitions, and
    without near-duplicates the counts of a label differ by at most one between folds. Only
    ids and labels are shuffled.

    Args:
        images: ``id``, ``label`` and, to keep near-duplicates together, ``cluster``.
        folds: Number of folds, at least 2.
        seed: Seed of the assignment.

    Returns:
        ``id`` and ``fold`` (int, from 0).

    Raises:
        ConfigError: ``folds`` is not a whole number of at least 2.
    """
    whole_number(FEWEST_FOLDS).check("evaluation.folds", folds)
    rows = images.select(ID, LABEL, F.col(split_key(images)).cast("bigint").alias(CLUSTER))
    # A cluster with both labels belongs to the stratum of its smallest id.
    stratum = F.min_by(LABEL, ID).over(Window.partitionBy(CLUSTER))
    draw = F.xxhash64(F.lit(seed).cast("bigint"), F.lit("fold"), F.col(CLUSTER))
    order = Window.partitionBy(_STRATUM).orderBy(_DRAW, CLUSTER)
    return (
        rows.withColumn(_STRATUM, stratum)
        .withColumn(_DRAW, draw)
        .select(ID, ((F.dense_rank().over(order) - 1) % folds).cast("int").alias(FOLD))
    )


def cross_validate(
    images: DataFrame,
    *,
    fit: Callable[[DataFrame], M],
    predict: Callable[[M, DataFrame], DataFrame],
    evaluate: Callable[[DataFrame], Metrics],
) -> Folds:
    """Fit one model per fold on all other folds, and evaluate it on the held-out fold.

    Args:
        images: The columns that ``fit`` and ``predict`` need, ``label``, and ``fold`` from
            ``assign_folds``. Read twice per fold, so persist it or read it from a store.
        fit: Trains a model on the rows it receives.
        predict: Adds predictions to rows; may drop ``fold``.
        evaluate: Computes metrics from the rows that ``predict`` returns.

    Returns:
        The results of the folds and the out-of-fold predictions of all images.

    Raises:
        DataError: A fold has no images of a label.
    """
    counts = _count_labels(images)
    total = sum(sum(labels.values()) for labels in counts.values())
    results: list[FoldResult] = []
    persisted: list[DataFrame] = []
    try:
        for fold, labels in sorted(counts.items()):
            held_out = sum(labels.values())
            logger.info(
                "Fold %d of %d: training on %d images", fold + 1, len(counts), total - held_out
            )
            start = time.perf_counter()
            model = fit(images.where(F.col(FOLD) != fold))
            fitted = time.perf_counter()
            scored = predict(model, images.where(F.col(FOLD) == fold))
            persisted.append(persist(scored.withColumn(FOLD, F.lit(fold))))
            metrics = evaluate(persisted[-1])
            results.append(
                FoldResult(
                    fold=fold,
                    train_rows=total - held_out,
                    metrics=metrics,
                    fit_s=round(fitted - start, 3),
                    score_s=round(time.perf_counter() - fitted, 3),
                )
            )
            logger.info(
                "Fold %d of %d: accuracy %.4f, log loss %.4f on %d held-out images",
                fold + 1,
                len(counts),
                metrics.accuracy,
                metrics.log_loss,
                held_out,
            )
    except BaseException:
        for frame in persisted:
            frame.unpersist()
        raise
    return Folds(tuple(results), reduce(DataFrame.unionByName, persisted), tuple(persisted))


def folds_table(folds: Folds) -> str:
    """Format the folds as a text table: one line per fold, then mean and deviation."""
    names = [name for name in SHOWN if name in folds.mean()]
    titles = [name.replace("_", " ") for name in names]
    head = f"{'fold':<8}{'images':>10}" + "".join(f"{title:>18}" for title in titles)
    lines = [
        f"{result.fold + 1:<8}{result.metrics.rows:>10,}"
        + "".join(f"{getattr(result.metrics, name):>18.4f}" for name in names)
        for result in folds.results
    ]
    rows = sum(result.metrics.rows for result in folds.results)
    summary = [
        f"{title:<8}{count:>10}" + "".join(f"{values[name]:>18.4f}" for name in names)
        for title, count, values in (
            ("mean", f"{rows:,}", folds.mean()),
            ("std", "", folds.standard_deviation()),
        )
    ]
    return "\n".join([head, *lines, *summary])


def _count_labels(images: DataFrame) -> Mapping[int, Mapping[float, int]]:
    """Count the images of each label in each fold."""
    rows = images.groupBy(FOLD, LABEL).count().collect()
    counts: dict[int, dict[float, int]] = {}
    for row in rows:
        counts.setdefault(row[FOLD], {})[row[LABEL]] = row["count"]
    labels = {label for fold_counts in counts.values() for label in fold_counts}
    if len(counts) < 2 or len(labels) < 2 or any(len(n) < len(labels) for n in counts.values()):
        totals = {
            label: sum(fold_counts.get(label, 0) for fold_counts in counts.values())
            for label in sorted(labels)
        }
        raise DataError(
            "cross-validation needs images of both labels in every fold, found "
            f"{len(counts)} folds for {totals} images by label. Use more images or a smaller "
            "evaluation.folds"
        )
    return counts


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
