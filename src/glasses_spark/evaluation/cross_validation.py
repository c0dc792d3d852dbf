"""Cross-validation: every image judged by a model that has not seen it."""

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
from glasses_spark.errors import ConfigError, DataError
from glasses_spark.evaluation.metrics import Metrics
from glasses_spark.preprocessing.split import split_key

logger = logging.getLogger(__name__)

M = TypeVar("M")

_DRAW: Final = "draw"
_STRATUM: Final = "stratum"

# What the table and the log show; the file has all.
SHOWN: Final = ("accuracy", "log_loss", "stable_log_loss", "roc_auc")


@dataclass(frozen=True)
class FoldResult:
    """What one fold has brought.

    Attributes:
        fold: Number of the fold that was held out, from 0.
        train_rows: Images trained on.
        metrics: Metrics over the images held out.
        fit_s: Seconds of the fit.
        score_s: Seconds of scoring and judging.
    """

    fold: int
    train_rows: int
    metrics: Metrics
    fit_s: float
    score_s: float

    def as_dict(self) -> dict[str, Any]:
        """Return it with the metrics by name, ready for JSON."""
        times = {"fit_s": self.fit_s, "score_s": self.score_s}
        return {
            "fold": self.fold,
            "train_rows": self.train_rows,
            **self.metrics.as_dict(),
            **times,
        }


@dataclass(frozen=True)
class Folds:
    """What a cross-validation has brought.

    Attributes:
        results: One a fold, in their order.
        predictions: What ``predict`` gave for each image when it was held out, and
            ``fold`` (int); kept in Spark's memory or on its disks until ``unpersist()``.
        kept: The persisted frames behind ``predictions``, one a fold.
    """

    results: tuple[FoldResult, ...]
    predictions: DataFrame
    kept: tuple[DataFrame, ...]

    def unpersist(self) -> None:
        """Let go of the predictions."""
        for frame in self.kept:
            frame.unpersist()

    def mean(self) -> dict[str, float]:
        """Return the mean over the folds of each metric that is a number in all of them."""
        return {name: statistics.fmean(values) for name, values in self._values().items()}

    def standard_deviation(self) -> dict[str, float]:
        """Return the sample standard deviation (n - 1) over the folds of the same metrics.

        It tells how much one fold's figure varies, not how sure the mean is: the folds'
        models share most of their training images (Bengio and Grandvalet, JMLR 5, 2004).
        """
        return {name: statistics.stdev(values) for name, values in self._values().items()}

    def _values(self) -> dict[str, list[float]]:
        dicts = [one.metrics.as_dict() for one in self.results]
        return {
            name: [one[name] for one in dicts]
            for name in dicts[0]
            if name != "threshold" and all(_is_number(one[name]) for one in dicts)
        }


def assign_folds(images: DataFrame, *, folds: int, seed: int) -> DataFrame:
    """Assign each image to a fold: stratified by label, near-duplicates together.

    Images of one label are put into an order that follows from the seed and their ids
    alone, and dealt out in turn: neither the order of the files nor the partitions
    matter, and the counts of a label differ by one at most between folds, but for
    clusters of near-duplicates. Only ids and labels are shuffled for it.

    Args:
        images: ``id``, ``label`` and, where near-duplicates are to stay together,
            ``cluster``.
        folds: How many, at least 2.
        seed: Chooses other folds.

    Returns:
        ``id`` and ``fold`` (int, from 0).

    Raises:
        ConfigError: There are fewer than 2 folds.
    """
    if folds < 2:
        raise ConfigError(f"evaluation.folds is {folds}: give a whole number of at least 2")
    rows = images.select(ID, LABEL, F.col(split_key(images)).cast("bigint").alias(CLUSTER))
    # A cluster has one place, that of its smallest id's label, whatever its others are.
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
    """Fit once for each fold on all others, and judge each model on its own fold.

    Args:
        images: What ``fit`` and ``predict`` need, ``label``, and ``fold`` as
            ``assign_folds`` gives it; read twice a fold, thus better persisted or in a
            store.
        fit: Trains a model on the rows it is given.
        predict: Adds predictions to rows; ``fold`` need not be among its columns.
        evaluate: Judges what ``predict`` gave.

    Returns:
        The folds' results and the predictions of all images.

    Raises:
        DataError: A fold lacks images of a label.
    """
    counts = _count(images)
    total = sum(sum(labels.values()) for labels in counts.values())
    results: list[FoldResult] = []
    kept: list[DataFrame] = []
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
            kept.append(scored.withColumn(FOLD, F.lit(fold)).persist())
            metrics = evaluate(kept[-1])
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
                "Fold %d of %d: accuracy %.4f, log loss %.4f on %d images held out",
                fold + 1,
                len(counts),
                metrics.accuracy,
                metrics.log_loss,
                held_out,
            )
    except BaseException:
        for frame in kept:
            frame.unpersist()
        raise
    return Folds(tuple(results), reduce(DataFrame.unionByName, kept), tuple(kept))


def folds_table(folds: Folds) -> str:
    """Lay out the folds as a table of text: one line a fold, then mean and deviation."""
    names = [name for name in SHOWN if name in folds.mean()]
    head = f"{'fold':<8}{'images':>10}" + "".join(f"{_words(name):>18}" for name in names)
    lines = [
        f"{one.fold + 1:<8}{one.metrics.rows:>10,}"
        + "".join(f"{getattr(one.metrics, name):>18.4f}" for name in names)
        for one in folds.results
    ]
    rows = sum(one.metrics.rows for one in folds.results)
    summary = [
        f"{title:<8}{count:>10}" + "".join(f"{values[name]:>18.4f}" for name in names)
        for title, count, values in (
            ("mean", f"{rows:,}", folds.mean()),
            ("std", "", folds.standard_deviation()),
        )
    ]
    return "\n".join([head, *lines, *summary])


def _count(images: DataFrame) -> Mapping[int, Mapping[float, int]]:
    """Count the images of each label in each fold."""
    rows = images.groupBy(FOLD, LABEL).count().collect()
    counts: dict[int, dict[float, int]] = {}
    for row in rows:
        counts.setdefault(row[FOLD], {})[row[LABEL]] = row["count"]
    labels = {label for of_fold in counts.values() for label in of_fold}
    if len(counts) < 2 or len(labels) < 2 or any(len(one) < len(labels) for one in counts.values()):
        found = {
            label: sum(of_fold.get(label, 0) for of_fold in counts.values())
            for label in sorted(labels)
        }
        raise DataError(
            "cross-validation: expected images of both labels in every fold, found "
            f"{len(counts)} folds for {found} images by label; give more images, or fewer folds "
            "(evaluation.folds)"
        )
    return counts


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _words(name: str) -> str:
    return name.replace("_", " ")
