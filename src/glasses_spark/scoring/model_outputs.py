"""Model outputs: what each output of a fitted model predicts, and into which column."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F

from glasses_spark.scoring.prediction_kind import (
    LOGITS,
    NUMBERS,
    PROBABILITIES,
    PredictionKind,
)
from glasses_spark.scoring.udf import prediction_field


@dataclass(frozen=True)
class ModelOutput:
    """One output of a fitted model.

    Attributes:
        position: Position in ``model.outputs``.
        column: Column of its predictions.
        kind: Meaning and number of its values.
    """

    position: int
    column: str
    kind: PredictionKind

    @property
    def is_number(self) -> bool:
        """Whether a prediction is a number instead of an array."""
        return self.kind.name == NUMBERS and self.kind.size == 1

    @property
    def is_logit(self) -> bool:
        """Whether a prediction is an array of one logit."""
        return self.kind.name == LOGITS and self.kind.size == 1

    @property
    def is_one_probability(self) -> bool:
        """Whether a prediction is an array of one probability."""
        return self.kind.name == PROBABILITIES and self.kind.size == 1

    @property
    def field(self) -> str:
        """Field of its predictions in the result of the UDF, with the type."""
        kind = "double" if self.is_number else "array<double>"
        return f"{prediction_field(self.position)} {kind}"

    def prediction(self, scores: str) -> Column:
        """Return the column of its predictions.

        Args:
            scores: Column of the results of the UDF.
        """
        prediction = F.col(scores)[prediction_field(self.position)]
        return prediction.alias(self.column, metadata=self.kind.metadata())
