"""Scores: labels and predicted probabilities, collected in the driver in one pass."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pyspark.ml.functions import vector_to_array
from pyspark.ml.linalg import VectorUDT
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType

from glasses_spark.columns import LABEL, PARTS, PREDICTION, RAW_PREDICTION
from glasses_spark.errors import ScoringError
from glasses_spark.evaluation.confusion import Confusion
from glasses_spark.evaluation.task import (
    LARGEST,
    SUM_TOLERANCE,
    TWO_CLASSES,
    Task,
    require_label,
    task_from_schema,
)
from glasses_spark.runtime.frames import require_frame
from glasses_spark.runtime.persist import persist
from glasses_spark.runtime.spark_errors import spark_errors

# The default of `keras.config.epsilon()`: Keras clips probabilities to [1e-7, 1 - 1e-7] in
# its binary cross-entropy, so our log loss is comparable with its `loss`.
EPSILON: Final = 1e-7

# Four numbers per row: at most 10 MB in the driver, sorted in a second.
EXACT_UP_TO: Final = 200_000
# Bins of the logit for more rows. At logit 0 a bin is 0.0004 wide, which is 0.0001 of the
# probability; further out the width is 0.0004 times the logit, a relative error of the loss.
BINS: Final = 2**16
_HIGHEST_LOGIT: Final = 1e6

_PART: Final = "part"
_PROBABILITY: Final = "probability"
_LOGIT: Final = "logit"
_SUM: Final = "sum"

Numbers = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

_ORDER: Final = {part: index for index, part in enumerate(PARTS)}

# The values that rows may have, by the name used in messages and for the count of violations.
_EXPECTED: Final = {
    "labels": "0.0 or 1.0",
    "predictions": "one output, or two that sum to 1",
    "probabilities": "between 0 and 1",
    "logits": "finite",
}


@dataclass(frozen=True, eq=False)
class Scores:
    """Labels and scores of one set of the split, bounded in size.

    Each entry is one image, or, for more than 200,000 rows, all images in one bin of the logit.

    Attributes:
        probability: ``(entries,)`` float64, in [0, 1]: probability of glasses.
        logit: ``(entries,)`` float64, finite: its logit, which distinguishes probabilities
            that round to 0 or 1.
        positives: ``(entries,)`` int64: number of images with glasses.
        negatives: ``(entries,)`` int64: number of images without glasses.
    """

    probability: Numbers
    logit: Numbers
    positives: Counts
    negatives: Counts

    @property
    def rows(self) -> int:
        """Number of images."""
        return int(self.positives.sum() + self.negatives.sum())

    def confusion(self, threshold: float) -> Confusion:
        """Return the confusion counts, with ``probability >= threshold`` predicted positive."""
        predicted = self.probability >= threshold
        return Confusion(
            tp=int(self.positives[predicted].sum()),
            fp=int(self.negatives[predicted].sum()),
            tn=int(self.negatives[~predicted].sum()),
            fn=int(self.positives[~predicted].sum()),
        )

    def total(self, of_positives: Numbers, of_negatives: Numbers) -> float:
        """Sum a quantity over all images.

        Args:
            of_positives: ``(entries,)``, its value for an image with glasses.
            of_negatives: ``(entries,)``, its value for an image without glasses.
        """
        return float(self.positives @ of_positives + self.negatives @ of_negatives)


def scores_of(label: Any, probability: Any, logit: Any = None) -> Scores:
    """Build scores with one entry per image.

    Args:
        label: ``(rows,)``, 0 or 1.
        probability: ``(rows,)``, in [0, 1].
        logit: ``(rows,)``, finite; by default the logit of the clipped probability.
    """
    probability = np.asarray(probability, np.float64)
    if logit is None:
        clipped = np.clip(probability, EPSILON, 1 - EPSILON)
        logit = np.log(clipped) - np.log1p(-clipped)
    positives = (np.asarray(label) == 1).astype(np.int64)
    return Scores(probability, np.asarray(logit, np.float64), positives, 1 - positives)


@spark_errors(ScoringError, "the evaluation")
def collect_scores(
    predictions: DataFrame,
    *,
    part: str | None = None,
    threshold: float = 0.5,
    exact_up_to: int = EXACT_UP_TO,
) -> dict[str, Scores]:
    """Collect labels and scores in the driver, those of all parts in one Spark job.

    Up to ``exact_up_to`` rows, each row is an entry. With more rows a second job counts them in
    65,536 bins of the logit, split at the threshold, so that the confusion counts stay exact;
    other metrics change in the sixth digit.

    Args:
        predictions: One row per image: ``label`` (double, 0.0 or 1.0), ``prediction``
            (array<double>: the probability of glasses in [0, 1], or those of label 0 and
            label 1, or their logits) and optionally ``rawPrediction`` (double, the logit of
            the one probability, finite).
        part: String column to group the rows by; None for a single group.
        threshold: Probability at which bins are split.
        exact_up_to: Most rows, over all parts, that are collected individually.

    Returns:
        The scores by part, in the order train, validation, test; without ``part`` a single
        entry with the empty string as key.

    Raises:
        ScoringError: There are no rows, a column is missing, the predictions are not those
            of two classes, or a row has an invalid label, probability or logit. No row is
            dropped silently.
    """
    require_frame(predictions, "collect_scores")
    require_label(predictions)
    task = task_from_schema(predictions)
    if task.name != TWO_CLASSES:
        raise ScoringError(
            f"expected predictions of {TWO_CLASSES}, found those of {task.name}. Use evaluate"
        )
    scored = predictions.select(
        (F.col(part) if part else F.lit("")).alias(_PART),
        F.col(LABEL).cast("double").alias(LABEL),
        probability_column(predictions).alias(_PROBABILITY),
        _logit(predictions).alias(_LOGIT),
        _sum(task).alias(_SUM),
    )
    # Persisted, so that a model behind `predictions` scores once even with a second job.
    is_cached_already = predictions.is_cached
    if not is_cached_already:
        persist(scored)
    try:
        # One extra row shows whether there are more; a `count` would be a job of its own.
        table = scored.limit(exact_up_to + 1).toArrow()
        return _single(table) if table.num_rows <= exact_up_to else _binned(scored, threshold)
    finally:
        if not is_cached_already:
            scored.unpersist()


def probability_column(predictions: DataFrame) -> Column:
    """Return the probability of glasses, or null where ``prediction`` is empty.

    It is the one output, or the second of two, or the sigmoid of their logit.
    """
    if task_from_schema(predictions).logits:
        return F.lit(1.0) / (F.lit(1.0) + F.exp(-_own_logit()))
    return _two_or_one(second=_output(1), only=_output(0))


def _output(index: int) -> Column:
    # `get` gives null for an empty array, where `[0]` fails the job in ANSI mode.
    return F.get(F.col(PREDICTION), index).cast("double")


def _two_or_one(*, second: Column, only: Column) -> Column:
    return F.when(F.size(PREDICTION) == 2, second).otherwise(only)


def _own_logit() -> Column:
    """Return the logit of predictions that are logits: of a sigmoid, or of a softmax of two."""
    return _two_or_one(second=_output(1) - _output(0), only=_output(0))


def _logit(predictions: DataFrame) -> Column:
    if task_from_schema(predictions).logits:
        return _own_logit()
    probability = probability_column(predictions)
    clipped = F.least(F.greatest(probability, F.lit(EPSILON)), F.lit(1 - EPSILON))
    logit = F.log(clipped) - F.log1p(-clipped)
    if not _has_logits(predictions):
        return logit
    # The raw prediction is that of one probability.
    raw = F.col(RAW_PREDICTION)
    is_vector = isinstance(predictions.schema[RAW_PREDICTION].dataType, VectorUDT)
    only = F.get(vector_to_array(raw), F.lit(1)) if is_vector else raw.cast("double")
    return _two_or_one(second=logit, only=only)


def _has_logits(predictions: DataFrame) -> bool:
    """Return whether there are raw predictions of a `GlassesModel`: a vector, or a logit."""
    kinds = {field.name: field.dataType for field in predictions.schema}
    return isinstance(kinds.get(RAW_PREDICTION), NumericType | VectorUDT)


def _sum(task: Task) -> Column:
    """Return the sum of the probabilities of both labels; null without one or two outputs."""
    outputs = F.size(PREDICTION)
    of_two = F.lit(1.0) if task.logits else _output(0) + _output(1)
    return F.when(outputs == 1, F.lit(1.0)).when(outputs == 2, of_two)


def _single(table: Any) -> dict[str, Scores]:
    """Build scores from an Arrow table with one row per image."""
    # Nulls become NaN, which is invalid as well.
    label, probability, logit, total = (
        table.column(name).to_numpy().astype(np.float64)
        for name in (LABEL, _PROBABILITY, _LOGIT, _SUM)
    )
    usable = {
        "labels": (label == 0) | (label == 1),
        "predictions": np.abs(total - 1) <= SUM_TOLERANCE,
        "probabilities": (probability >= 0) & (probability <= 1),
        "logits": np.isfinite(logit),
    }
    invalid = {of: ~good for of, good in usable.items()}
    values = {"labels": label, "predictions": total, "probabilities": probability, "logits": logit}
    _require_usable(
        len(label),
        {of: int(wrong.sum()) for of, wrong in invalid.items()},
        {of: values[of][wrong][0] for of, wrong in invalid.items() if wrong.any()},
    )
    return {
        name: scores_of(label[rows], probability[rows], logit[rows])
        for name, rows in _rows_by_part(table).items()
    }


def _binned(scored: DataFrame, threshold: float) -> dict[str, Scores]:
    y, p, z = F.col(LABEL), F.col(_PROBABILITY), F.col(_LOGIT)
    # `between` rejects NaN, coalesce rejects null.
    usable = {
        "labels": (y == 1.0) | (y == 0.0),
        "predictions": F.abs(F.col(_SUM) - 1) <= SUM_TOLERANCE,
        "probabilities": p.between(0.0, 1.0),
        "logits": z.between(-LARGEST, LARGEST),
    }
    size = F.log1p(F.least(F.abs(z), F.lit(_HIGHEST_LOGIT))) / math.log1p(_HIGHEST_LOGIT)
    position = (1 + F.signum(z) * size) / 2 * BINS
    table = (
        scored.groupBy(_PART, F.floor(position).alias("bin"), (p >= threshold).alias("predicted"))
        .agg(
            F.avg(p).alias(_PROBABILITY),
            F.avg(z).alias(_LOGIT),
            F.count_if(y == 1.0).alias("positives"),
            F.count_if(y == 0.0).alias("negatives"),
            F.count("*").alias("rows"),
            *(F.count_if(~F.coalesce(good, F.lit(False))).alias(of) for of, good in usable.items()),
        )
        .toArrow()
    )
    names = (_PROBABILITY, _LOGIT, "positives", "negatives", "rows", *usable)
    columns = {name: table.column(name).to_numpy() for name in names}
    _require_usable(int(columns["rows"].sum()), {of: int(columns[of].sum()) for of in usable})
    return {
        name: Scores(
            columns[_PROBABILITY][rows],
            columns[_LOGIT][rows],
            columns["positives"][rows],
            columns["negatives"][rows],
        )
        for name, rows in _rows_by_part(table).items()
    }


def _rows_by_part(table: Any) -> dict[str, Any]:
    """Return a mask of the table's rows for each part; train, validation, test first."""
    parts = table.column(_PART).combine_chunks().dictionary_encode()
    indices = parts.indices.to_numpy(zero_copy_only=False)
    names = parts.dictionary.to_pylist()
    order = sorted(names, key=lambda name: (_ORDER.get(name, len(_ORDER)), name))
    return {name: indices == names.index(name) for name in order}


def _require_usable(
    rows: int, invalid: Mapping[str, int], examples: Mapping[str, float] | None = None
) -> None:
    if rows == 0:
        raise ScoringError("cannot evaluate: expected at least one prediction, found none")
    for name, expectation in _EXPECTED.items():
        if invalid[name]:
            example = f", such as {examples[name]:g}" if examples else ""
            raise ScoringError(
                f"cannot evaluate: expected all {name} {expectation}, "
                f"found {invalid[name]} of {rows} null, NaN or out of range{example}"
            )
