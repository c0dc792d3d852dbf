"""Label doubt: which labels are most likely wrong, told from out-of-fold predictions.

After Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset
Labels" (Journal of Artificial Intelligence Research 70, 2021). A model that has not seen
an image says how probable its label is, its *self-confidence*; labels are ranked by it,
the least probable first (with two labels this is the order of the normalized margin, too).
A label counts as *likely wrong* where the image is in an off-diagonal cell of the
confident joint: the other label is at least as probable as it is on average for the images
that bear it, and its own is not, or less so. A model that is surer of one label than of
the other thus does not doubt all images of that other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import ID, LABEL, PATH, PREDICTION

# More than a person looks through in one sitting.
LISTED: Final = 100

_PROBABILITY: Final = "probability"
_CONFIDENCE: Final = "self_confidence"
_WRONG: Final = "likely_wrong"


@dataclass(frozen=True)
class DoubtedLabel:
    """One label in doubt.

    Attributes:
        rank: From 1, the most doubtful.
        id: Number of the image.
        path: Its file, as Spark writes it.
        label: What it is labelled, 0.0 or 1.0.
        probability: Of glasses, in [0, 1], from a model that has not seen the image.
        self_confidence: Of the label, in [0, 1].
        likely_wrong: Whether it is so by the confident joint; see above.
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
        listed: The most doubtful, by rank.
        likely_wrong: How many of all labels are likely wrong, listed or not.
        rows: How many labels there are.
    """

    listed: tuple[DoubtedLabel, ...]
    likely_wrong: int
    rows: int


def doubt_labels(predictions: DataFrame, *, limit: int = LISTED) -> LabelDoubt:
    """Rank the labels by how little a model that has not seen their image believes them.

    Three small Spark jobs; no more than ``limit`` rows come to the driver.

    Args:
        predictions: Out of fold: ``id``, ``path``, ``label`` (0.0 or 1.0) and
            ``prediction`` (first the probability of glasses). Read three times: better kept.
        limit: Most labels to list.
    """
    probability = F.get(PREDICTION, 0).cast("double")
    yes = F.col(LABEL) == 1.0
    rows = predictions.select(ID, PATH, LABEL, probability.alias(_PROBABILITY)).withColumn(
        _CONFIDENCE, F.when(yes, F.col(_PROBABILITY)).otherwise(1 - F.col(_PROBABILITY))
    )
    mean = F.mean(_CONFIDENCE).alias("mean")
    means = {row[LABEL]: row["mean"] for row in rows.groupBy(LABEL).agg(mean).collect()}
    # No image reaches the mean of a label that none bears.
    of_yes, of_no = (F.lit(means.get(label, 2.0)) for label in (1.0, 0.0))
    own, other = F.when(yes, of_yes).otherwise(of_no), F.when(yes, of_no).otherwise(of_yes)
    confidence = F.col(_CONFIDENCE)
    wrong = (1 - confidence >= other) & ((confidence < own) | (confidence < 0.5))
    marked = rows.withColumn(_WRONG, wrong)
    counts = marked.agg(F.count("*").alias("rows"), F.count_if(_WRONG).alias(_WRONG)).collect()[0]
    # The id decides between equals, so that the same predictions give the same list.
    first = marked.orderBy(_CONFIDENCE, ID).limit(limit).collect()
    return LabelDoubt(
        listed=tuple(
            DoubtedLabel(rank=rank, **row.asDict()) for rank, row in enumerate(first, start=1)
        ),
        likely_wrong=counts[_WRONG],
        rows=counts["rows"],
    )
