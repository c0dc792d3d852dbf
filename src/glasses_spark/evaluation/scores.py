"""Scores: what an evaluation needs of the predictions, brought to the driver in one pass."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import LABEL, PREDICTION, RAW_PREDICTION
from glasses_spark.errors import ScoringError
from glasses_spark.evaluation.confusion import Confusion
from glasses_spark.preprocessing.split import TEST, TRAIN, VALIDATION

# Keras' own epsilon (`keras.config.epsilon()`): its binary cross-entropy clips
# probabilities to [1e-7, 1 - 1e-7], so that ours can be compared with its `loss`.
EPSILON: Final = 1e-7

# Four numbers a row: some 10 MB at most in the driver, and a second to sort.
EXACT_UP_TO: Final = 200_000
# Beyond that, bins of the logit: 0.0004 wide at 0, so 0.0001 of probability, and further out
# 0.0004 of the logit, whose distance from 0 is what a wrong label costs there.
BINS: Final = 2**16
_HIGHEST_LOGIT: Final = 1e6

_PART: Final = "part"
_PROBABILITY: Final = "probability"
_LOGIT: Final = "logit"

Numbers = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

_ORDER: Final = {TRAIN: 0, VALIDATION: 1, TEST: 2}

# What is expected of the rows, and the column of its count of those that are otherwise.
_WANTED: Final = {
    "labels": "0.0 or 1.0",
    "probabilities": "between 0 and 1",
    "logits": "finite",
}


@dataclass(frozen=True, eq=False)
class Scores:
    """The labels and scores of one part, bounded in size.

    Each entry is one image, or, where there are more than can be held, all images
    whose scores hardly differ.

    Attributes:
        probability: ``(entries,)`` float64, in [0, 1]: probability of glasses.
        logit: ``(entries,)`` float64, finite: its logit, which tells probabilities
            apart that are 0 or 1 in floating point.
        positives: ``(entries,)`` int64, images with glasses.
        negatives: ``(entries,)`` int64, images without.
    """

    probability: Numbers
    logit: Numbers
    positives: Counts
    negatives: Counts

    @property
    def rows(self) -> int:
        """All images."""
        return int(self.positives.sum() + self.negatives.sum())

    def confusion(self, threshold: float) -> Confusion:
        """Count right and wrong labels where ``probability >= threshold`` is taken for glasses."""
        found = self.probability >= threshold
        return Confusion(
            tp=int(self.positives[found].sum()),
            fp=int(self.negatives[found].sum()),
            tn=int(self.negatives[~found].sum()),
            fn=int(self.positives[~found].sum()),
        )

    def total(self, of_positives: Numbers, of_negatives: Numbers) -> float:
        """Sum over all images a number ``(entries,)`` that depends on score and label."""
        return float(self.positives @ of_positives + self.negatives @ of_negatives)


def scores_of(label: Any, probability: Any, logit: Any = None) -> Scores:
    """Make scores of single images.

    Args:
        label: ``(rows,)``, 0 or 1.
        probability: ``(rows,)``, in [0, 1].
        logit: ``(rows,)``, finite; by default that of the clipped probability.
    """
    probability = np.asarray(probability, np.float64)
    if logit is None:
        clipped = np.clip(probability, EPSILON, 1 - EPSILON)
        logit = np.log(clipped) - np.log1p(-clipped)
    positives = (np.asarray(label) == 1).astype(np.int64)
    return Scores(probability, np.asarray(logit, np.float64), positives, 1 - positives)


def collect_scores(
    predictions: DataFrame,
    *,
    part: str | None = None,
    threshold: float = 0.5,
    exact_up_to: int = EXACT_UP_TO,
) -> dict[str, Scores]:
    """Bring labels and scores to the driver, those of all parts in one Spark job.

    Up to ``exact_up_to`` rows every one is an entry. Beyond, a second job counts them
    in 65,536 bins of the logit, divided at the threshold as well, so that the counts
    of right and wrong labels stay exact; what follows from scores moves in the sixth
    digit.

    Args:
        predictions: One row an image: ``label`` (double, 0.0 or 1.0), ``prediction``
            (array<double>, first the probability of glasses in [0, 1]) and, where present,
            ``rawPrediction`` (double, its logit, finite).
        part: Column of texts by which to part the rows; None keeps them together.
        threshold: Probability at which bins are divided.
        exact_up_to: Rows that are brought one by one, in all parts together.

    Returns:
        The scores by part, in the order train, validation, test; by the empty text
        those of no part.

    Raises:
        ScoringError: There is no row, a column is missing, or a row has no usable label,
            probability or logit; none is ever left out in silence.
    """
    _require_columns(predictions)
    scored = predictions.select(
        (F.col(part) if part else F.lit("")).alias(_PART),
        F.col(LABEL).cast("double").alias(LABEL),
        probability_column().alias(_PROBABILITY),
        _logit(predictions).alias(_LOGIT),
    )
    # Kept, so that a model behind `predictions` scores once even if there is a second job.
    is_kept_already = predictions.is_cached
    if not is_kept_already:
        scored.persist()
    try:
        # One row more tells that there are more; a `count` would be a job of its own.
        table = scored.limit(exact_up_to + 1).toArrow()
        return _single(table) if table.num_rows <= exact_up_to else _binned(scored, threshold)
    finally:
        if not is_kept_already:
            scored.unpersist()


def probability_column() -> Column:
    """The probability of glasses: the first of ``prediction``, null where that is empty."""
    # `get` gives null for an empty array, where `[0]` fails the job in ANSI mode.
    return F.get(F.col(PREDICTION), 0).cast("double")


def _require_columns(predictions: DataFrame) -> None:
    missing = [name for name in (LABEL, PREDICTION) if name not in predictions.columns]
    if missing:
        raise ScoringError(
            f"cannot evaluate: expected the columns {LABEL} and {PREDICTION}, "
            f"found no {' and no '.join(missing)} among {', '.join(predictions.columns)}"
        )


def _logit(predictions: DataFrame) -> Column:
    if RAW_PREDICTION in predictions.columns:
        return F.col(RAW_PREDICTION).cast("double")
    clipped = F.least(F.greatest(probability_column(), F.lit(EPSILON)), F.lit(1 - EPSILON))
    return F.log(clipped) - F.log1p(-clipped)


def _single(table: Any) -> dict[str, Scores]:
    """Make scores of an Arrow table with a row an image."""
    # Nulls become NaN, which is no usable value either.
    label, probability, logit = (
        table.column(name).to_numpy().astype(np.float64) for name in (LABEL, _PROBABILITY, _LOGIT)
    )
    usable = {
        "labels": (label == 0) | (label == 1),
        "probabilities": (probability >= 0) & (probability <= 1),
        "logits": np.isfinite(logit),
    }
    _require_usable(len(label), {of: int((~good).sum()) for of, good in usable.items()})
    return {
        name: scores_of(label[rows], probability[rows], logit[rows])
        for name, rows in _rows_by_part(table).items()
    }


def _binned(scored: DataFrame, threshold: float) -> dict[str, Scores]:
    y, p, z = F.col(LABEL), F.col(_PROBABILITY), F.col(_LOGIT)
    # Spark orders NaN above every number, so `between` refuses it; null is refused by coalesce.
    usable = {
        "labels": (y == 1.0) | (y == 0.0),
        "probabilities": p.between(0.0, 1.0),
        "logits": z.between(-1.7976931348623157e308, 1.7976931348623157e308),
    }
    size = F.log1p(F.least(F.abs(z), F.lit(_HIGHEST_LOGIT))) / math.log1p(_HIGHEST_LOGIT)
    place = (1 + F.signum(z) * size) / 2 * BINS
    table = (
        scored.groupBy(_PART, F.floor(place).alias("bin"), (p >= threshold).alias("found"))
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
    found = {name: table.column(name).to_numpy() for name in names}
    _require_usable(int(found["rows"].sum()), {of: int(found[of].sum()) for of in usable})
    return {
        name: Scores(
            found[_PROBABILITY][rows],
            found[_LOGIT][rows],
            found["positives"][rows],
            found["negatives"][rows],
        )
        for name, rows in _rows_by_part(table).items()
    }


def _rows_by_part(table: Any) -> dict[str, Any]:
    """Which rows of an Arrow table belong to which part; train, validation, test first."""
    parts = table.column(_PART).combine_chunks().dictionary_encode()
    places = parts.indices.to_numpy(zero_copy_only=False)
    names = parts.dictionary.to_pylist()
    order = sorted(names, key=lambda name: (_ORDER.get(name, len(_ORDER)), name))
    return {name: places == names.index(name) for name in order}


def _require_usable(rows: int, bad: dict[str, int]) -> None:
    if rows == 0:
        raise ScoringError("cannot evaluate: expected at least one prediction, found none")
    for of, expectation in _WANTED.items():
        if bad[of]:
            raise ScoringError(
                f"cannot evaluate: expected all {of} {expectation}, "
                f"found {bad[of]} of {rows} null, NaN or outside"
            )
