"""Evaluator of predictions for Spark ML's model selection."""

from __future__ import annotations

from typing import Any, Final

from pyspark import keyword_only
from pyspark.ml.evaluation import Evaluator
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasLabelCol, HasPredictionCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable
from pyspark.sql import DataFrame

from glasses_spark.columns import LABEL, PREDICTION
from glasses_spark.errors import ConfigError, ScoringError
from glasses_spark.evaluation.metrics import evaluate

# Names as in Spark ML's evaluators, and the fields of `Metrics`.
_METRICS: Final = {
    "logLoss": "log_loss",
    "stableLogLoss": "stable_log_loss",
    "accuracy": "accuracy",
    "areaUnderROC": "roc_auc",
}
# Lower is better.
_LOSSES: Final = ("logLoss", "stableLogLoss")


class GlassesEvaluator(
    Evaluator, HasLabelCol, HasPredictionCol, DefaultParamsReadable[Any], DefaultParamsWritable
):
    """Evaluator of the predictions of a `GlassesModel`, for `CrossValidator` and similar classes.

    Spark ML's own evaluators need a vector of two probabilities for the log loss; this one
    reads ``prediction[0]``, and ``rawPrediction``, if present, for the stable log loss.

    - ``metricName``: ``logLoss`` (the default), ``stableLogLoss``, ``accuracy`` or
      ``areaUnderROC``.
    - ``threshold``: probability from which the predicted label is 1; 0.5 by default.
    - ``labelCol``, ``predictionCol``: ``label`` and ``prediction`` by default.
    """

    metricName: Param[str] = Param(
        Params._dummy(),
        "metricName",
        f"one of {', '.join(_METRICS)}",
        TypeConverters.toString,
    )
    threshold: Param[float] = Param(
        Params._dummy(),
        "threshold",
        "probability from which the predicted label is 1",
        TypeConverters.toFloat,
    )

    @keyword_only
    def __init__(self, **kwargs: Any) -> None:
        super().__init__()
        self._setDefault(
            metricName="logLoss", threshold=0.5, labelCol=LABEL, predictionCol=PREDICTION
        )
        self._set(**kwargs)

    def _set(self, **kwargs: Any) -> GlassesEvaluator:
        name = kwargs.get("metricName")
        if name is not None and name not in _METRICS:
            raise ConfigError(f"metricName: expected one of {', '.join(_METRICS)}, got {name!r}")
        super()._set(**kwargs)
        return self

    def isLargerBetter(self) -> bool:
        """Return whether a larger value of the metric is better."""
        return self.getOrDefault(self.metricName) not in _LOSSES

    def _evaluate(self, dataset: DataFrame) -> float:
        rows = dataset.withColumnsRenamed(
            {self.getLabelCol(): LABEL, self.getPredictionCol(): PREDICTION}
        )
        name = self.getOrDefault(self.metricName)
        value = getattr(evaluate(rows, threshold=self.getOrDefault(self.threshold)), _METRICS[name])
        if value is None:
            raise ScoringError(f"{name} needs images of both labels, found images of one label")
        return float(value)
