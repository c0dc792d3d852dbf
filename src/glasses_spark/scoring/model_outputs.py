"""Model outputs: what each output of a fitted model predicts, and into which column."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import Column

from glasses_spark.scoring.invalid_rows import where_valid
from glasses_spark.scoring.prediction_kind import PredictionKind
from glasses_spark.scoring.udf import REASON, prediction_field


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

    def prediction(self, scores: Column, handling: str) -> Column:
        """Return the column of its predictions.

        Args:
            scores: Column of the results of the UDF.
            handling: Value of ``handleInvalid``.
        """
        prediction = scores[prediction_field(self.position)]
        valid = where_valid(prediction, scores[REASON], handling)
        return valid.alias(self.column, metadata=self.kind.metadata())
