"""Evaluation summary: how well a model predicts labelled rows, as in Spark ML's own models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pyspark.ml.evaluation import (
    BinaryClassificationEvaluator,
    MulticlassClassificationEvaluator,
    RegressionEvaluator,
)
from pyspark.ml.functions import vector_to_array
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import NumericType

from glasses_spark.errors import ScoringError
from glasses_spark.runtime.persist import persist
from glasses_spark.scoring.features import is_vector
from glasses_spark.scoring.ml_columns import classes_of
from glasses_spark.scoring.model_outputs import ModelOutput

if TYPE_CHECKING:
    from glasses_spark.scoring.transformer import GlassesModel

# Columns of Spark ML's evaluators by the names of the Params that add them.
_COLUMNS: Final = {
    "predictionCol": "prediction",
    "probabilityCol": "probability",
    "rawPredictionCol": "rawPrediction",
}
_LABEL: Final = "label"


@dataclass(frozen=True)
class ClassificationSummary:
    """Metrics of a classifier, by the names of Spark ML's own summaries.

    Attributes:
        predictions: The rows with all columns of ``transform``; not cached.
        labelCol: Column of the labels.
        numInstances: Number of rows.
        accuracy: Fraction of the rows whose class is right.
        logLoss: Mean of ``-log(probability of the true class)``, in nats.
        weightedPrecision: Mean of the classes' precisions, weighted by their rows.
        weightedRecall: The same of the recalls.
        weightedFMeasure: The same of the F1 scores.
        areaUnderROC: Area under the ROC curve; None unless there are two classes.
        areaUnderPR: Area under the precision-recall curve; None unless there are two classes.
    """

    predictions: DataFrame
    labelCol: str
    numInstances: int
    accuracy: float
    logLoss: float
    weightedPrecision: float
    weightedRecall: float
    weightedFMeasure: float
    areaUnderROC: float | None
    areaUnderPR: float | None


@dataclass(frozen=True)
class RegressionSummary:
    """Metrics of a regression, by the names of Spark ML's own summaries.

    Of several numbers in a prediction each metric is the mean over them.

    Attributes:
        predictions: The rows with all columns of ``transform``; not cached.
        labelCol: Column of the labels.
        numInstances: Number of rows.
        meanSquaredError: Mean squared error.
        rootMeanSquaredError: Its root.
        meanAbsoluteError: Mean absolute error.
        r2: Coefficient of determination.
        explainedVariance: Variance of the predictions around the mean of the labels.
    """

    predictions: DataFrame
    labelCol: str
    numInstances: int
    meanSquaredError: float
    rootMeanSquaredError: float
    meanAbsoluteError: float
    r2: float
    explainedVariance: float


def evaluation_of(
    model: GlassesModel, dataset: DataFrame, outputs: Sequence[ModelOutput]
) -> ClassificationSummary | RegressionSummary:
    """Score labelled rows, and compute the metrics of Spark ML's own evaluators.

    Args:
        model: A model with one output.
        dataset: Rows with the columns of the features and ``labelCol``. A label is a class, a
            one-hot vector or array, or the number or numbers of a regression.
        outputs: Outputs of the model.

    Raises:
        ScoringError: The label column is missing, there are no rows, or the model has several
            outputs or predicts something else.
    """
    label = model.getLabelCol()
    if len(outputs) != 1:
        raise ScoringError(
            f"evaluate needs a model with one output, found {len(outputs)}. Use transform, and "
            "evaluate each output"
        )
    if label not in dataset.columns:
        raise ScoringError(
            f"labels: expected a column {label!r}, got the columns {', '.join(dataset.columns)}. "
            "Set labelCol"
        )
    kind = outputs[0].kind
    classes = classes_of(kind)
    names = _COLUMNS if classes else {"predictionCol": "prediction"}
    added = {param: f"__glasses_spark_{name}" for param, name in names.items()}
    scorer = model.copy()
    scorer._set(**{**dict.fromkeys(_COLUMNS, ""), **added}, outputCol="__glasses_spark_outputs")
    scored = scorer.transform(dataset).select(
        _label(dataset, label, is_class=bool(classes), size=kind.size).alias(_LABEL),
        *(F.col(added[param]).alias(name) for param, name in names.items()),
    )
    # Without the rows that have no label, or that handleInvalid="keep" has left without scores.
    scored = persist(scored.dropna())
    try:
        count = scored.count()
        if not count:
            raise ScoringError("evaluate: expected rows with labels and predictions, got none")
        common: dict[str, Any] = {
            "predictions": model.transform(dataset),
            "labelCol": label,
            "numInstances": count,
        }
        if classes:
            return ClassificationSummary(**common, **_class_metrics(scored, classes))
        return RegressionSummary(**common, **_regression_metrics(scored, kind.size))
    finally:
        scored.unpersist()


def _label(dataset: DataFrame, name: str, *, is_class: bool, size: int) -> Column:
    """Return the label as a class or a number, a double, or as an array of numbers."""
    column, kind = F.col(f"`{name}`"), dataset.schema[name].dataType
    if isinstance(kind, NumericType):
        return column.cast("double")
    values = vector_to_array(column) if is_vector(kind) else column.cast("array<double>")
    if not is_class:
        return F.when(F.size(values) == 1, values[0]) if size == 1 else values
    one_hot = F.array_position(values, F.array_max(values)) - 1
    return F.when(F.size(values) == 1, values[0]).otherwise(one_hot).cast("double")


def _class_metrics(scored: DataFrame, classes: int) -> dict[str, Any]:
    multiclass: Any = MulticlassClassificationEvaluator()  # the type hints lack logLoss
    names = {
        "accuracy": "accuracy",
        "logLoss": "logLoss",
        "weightedPrecision": "weightedPrecision",
        "weightedRecall": "weightedRecall",
        "weightedFMeasure": "f1",
    }
    metrics: dict[str, Any] = {
        field: multiclass.setMetricName(name).evaluate(scored) for field, name in names.items()
    }
    for field in ("areaUnderROC", "areaUnderPR"):
        binary = BinaryClassificationEvaluator(metricName=field)
        metrics[field] = binary.evaluate(scored) if classes == 2 else None
    return metrics


def _regression_metrics(scored: DataFrame, size: int) -> dict[str, Any]:
    names = {
        "meanSquaredError": "mse",
        "rootMeanSquaredError": "rmse",
        "meanAbsoluteError": "mae",
        "r2": "r2",
        "explainedVariance": "var",
    }
    evaluator: Any = RegressionEvaluator()
    parts = [scored] if size == 1 else [_number(scored, index) for index in range(size)]

    def mean(metric: str) -> float:
        values: list[float] = [evaluator.setMetricName(metric).evaluate(part) for part in parts]
        return sum(values) / len(values)

    return {field: mean(name) for field, name in names.items()}


def _number(scored: DataFrame, index: int) -> DataFrame:
    """Return label and prediction of one of several numbers."""
    prediction = vector_to_array(F.col("prediction"))
    return scored.select(F.col(_LABEL)[index].alias(_LABEL), prediction[index].alias("prediction"))
