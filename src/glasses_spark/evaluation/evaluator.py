"""Evaluator of predictions for Spark ML's model selection."""

from __future__ import annotations

from typing import Any, Final

from pyspark import keyword_only
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasLabelCol, HasPredictionCol
from pyspark.ml.util import DefaultParamsReadable, DefaultParamsWritable, MLWriter
from pyspark.sql import DataFrame

from glasses_spark.columns import LABEL, PREDICTION, RAW_PREDICTION
from glasses_spark.errors import ConfigError, ScoringError
from glasses_spark.evaluation.metrics import evaluate
from glasses_spark.evaluation.task import MORE_CLASSES, REGRESSION, TWO_CLASSES, task_of
from glasses_spark.runtime.stages import CheckedEvaluator
from glasses_spark.scoring.stage_writer import ParamsWriter

_CLASSES: Final = (TWO_CLASSES, MORE_CLASSES)
# Names as in Spark ML's evaluators; the fields of the metrics, and the tasks that have them.
_METRICS: Final = {
    "logLoss": ("log_loss", _CLASSES),
    "stableLogLoss": ("stable_log_loss", (TWO_CLASSES,)),
    "accuracy": ("accuracy", _CLASSES),
    "macroF1": ("macro_f1", _CLASSES),
    "weightedF1": ("weighted_f1", _CLASSES),
    "areaUnderROC": ("roc_auc", _CLASSES),
    "rmse": ("rmse", (REGRESSION,)),
    "mae": ("mae", (REGRESSION,)),
    "r2": ("r2", (REGRESSION,)),
}
# Lower is better.
_LOSSES: Final = ("logLoss", "stableLogLoss", "rmse", "mae")

# What the rows lack if a metric is undefined.
_NEEDS: Final = {
    TWO_CLASSES: "images of both labels",
    MORE_CLASSES: "rows of every class",
    REGRESSION: "labels that differ",
}


class GlassesEvaluator(
    CheckedEvaluator,
    HasLabelCol,
    HasPredictionCol,
    DefaultParamsReadable[Any],
    DefaultParamsWritable,
):
    """Evaluator of the predictions of a `GlassesModel`, for `CrossValidator` and similar classes.

    It reads the metadata of the predictions, so it takes one probability, two or more of a
    softmax, their logits, and the numbers of a regression, each as what it is. A metric that the
    predictions do not have is refused before anything is computed.

    - ``metricName``: ``logLoss`` (the default), ``accuracy``, ``macroF1``, ``weightedF1`` or
      ``areaUnderROC`` of classes; ``stableLogLoss`` of two classes, from ``rawPrediction`` if
      present; ``rmse``, ``mae`` or ``r2`` of a regression.
    - ``threshold``: probability from which the predicted label of two is 1; 0.5 by default.
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

    def write(self) -> MLWriter:
        """Return a writer of Spark ML folders."""
        return ParamsWriter(self)

    def isLargerBetter(self) -> bool:
        """Return whether a larger value of the metric is better."""
        return self.getOrDefault(self.metricName) not in _LOSSES

    def _evaluate(self, dataset: DataFrame) -> float:
        name = self.getOrDefault(self.metricName)
        field, tasks = _METRICS[name]
        rows = self._rows(dataset)
        task = task_of(rows)
        if task.name not in tasks:
            others = [other for other, (_, names) in _METRICS.items() if task.name in names]
            raise ScoringError(
                f"metricName={name} needs predictions of {' or '.join(tasks)}, found those of "
                f"{task.name}. Use one of {', '.join(others)}"
            )
        value = getattr(evaluate(rows, threshold=self.getOrDefault(self.threshold)), field)
        if value is None:
            raise ScoringError(f"{name} needs {_NEEDS[task.name]}, found none")
        return float(value)

    def _rows(self, dataset: DataFrame) -> DataFrame:
        names = {LABEL: self.getLabelCol(), PREDICTION: self.getPredictionCol()}
        missing = [name for name in names.values() if name not in dataset.columns]
        if missing:
            raise ScoringError(
                f"cannot evaluate: found no column {' and no '.join(missing)} among "
                f"{', '.join(dataset.columns)}. Set labelCol or predictionCol"
            )
        if RAW_PREDICTION in dataset.columns:
            names[RAW_PREDICTION] = RAW_PREDICTION
        # Selected, because the frame may have other columns of these names.
        return dataset.select(*(dataset[f"`{old}`"].alias(new) for new, old in names.items()))
