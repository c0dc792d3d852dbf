"""Label doubt: the labels most likely to be wrong, from out-of-fold predictions.

After Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset
Labels" (Journal of Artificial Intelligence Research 70, 2021). The *self-confidence* of a
label is its probability according to a model that was not trained on the image; labels are
ranked by it in ascending order (with two labels, the order of the normalized margin is the
same). A label is *likely wrong* if the image is in an off-diagonal cell of the confident
joint: the other label is at least as probable as it is on average for the images that have
it, and the image's own label is less probable than that, or less probable than the other.
The averages correct for a model that is more confident of one label.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import ID, LABEL, PATH, PREDICTION

# About as many as a person reviews in one go.
LISTED: Final = 100

_PROBABILITY: Final = "probability"
_CONFIDENCE: Final = "self_confidence"
_WRONG: Final = "likely_wrong"


@dataclass(frozen=True)
class DoubtedLabel:
    """One label in doubt.

    Attributes:
        rank: Position from 1, the most doubtful label.
        id: Id of the image.
        path: Its file, as Spark writes it.
        label: 0.0 or 1.0.
        probability: Out-of-fold probability of glasses, in [0, 1].
        self_confidence: Out-of-fold probability of the label, in [0, 1].
        likely_wrong: Whether the confident joint marks the label as wrong; see above.
    """

    rank: int
    id: int
    path: str
    label: float
    probability: float
    self_confidence: float
    likely_wrong: bool


@dataclass(frozen=True)
class LabelDoubt:
    """The labels in doubt.

    Attributes:
        listed: The most doubtful labels, by rank.
        likely_wrong: Number of all labels that are likely wrong, listed or not.
        rows: Number of labels.
    """

    listed: tuple[DoubtedLabel, ...]
    likely_wrong: int
    rows: int


def doubt_labels(predictions: DataFrame, *, limit: int = LISTED) -> LabelDoubt:
    """Rank labels by their self-confidence, the lowest first.

    Runs three small Spark jobs and collects at most ``limit`` rows.

    Args:
        predictions: Out-of-fold predictions: ``id``, ``path``, ``label`` (0.0 or 1.0) and
            ``prediction`` (first the probability of glasses). Read three times, so persist it.
        limit: Most labels to list.
    """
    probability = F.get(PREDICTION, 0).cast("double")
    is_positive = F.col(LABEL) == 1.0
    rows = predictions.select(ID, PATH, LABEL, probability.alias(_PROBABILITY)).withColumn(
        _CONFIDENCE, F.when(is_positive, F.col(_PROBABILITY)).otherwise(1 - F.col(_PROBABILITY))
    )
    mean = F.mean(_CONFIDENCE).alias("mean")
    means = {row[LABEL]: row["mean"] for row in rows.groupBy(LABEL).agg(mean).collect()}
    # 2.0, which no probability reaches, for a label without images.
    positive_mean, negative_mean = (F.lit(means.get(label, 2.0)) for label in (1.0, 0.0))
    own_mean = F.when(is_positive, positive_mean).otherwise(negative_mean)
    other_mean = F.when(is_positive, negative_mean).otherwise(positive_mean)
    confidence = F.col(_CONFIDENCE)
    wrong = (1 - confidence >= other_mean) & ((confidence < own_mean) | (confidence < 0.5))
    marked = rows.withColumn(_WRONG, wrong)
    counts = marked.agg(F.count("*").alias("rows"), F.count_if(_WRONG).alias(_WRONG)).collect()[0]
    # Ordered by id on ties, so that the same predictions give the same list.
    most_doubtful = marked.orderBy(_CONFIDENCE, ID).limit(limit).collect()
    return LabelDoubt(
        listed=tuple(
            DoubtedLabel(rank=rank, **row.asDict())
            for rank, row in enumerate(most_doubtful, start=1)
        ),
        likely_wrong=counts[_WRONG],
        rows=counts["rows"],
    )
