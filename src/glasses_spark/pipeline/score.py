"""Scores: predictions of a fitted model, calibrated and evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from glasses_spark.columns import (
    ID,
    LABEL,
    PATH,
    PREDICTED_LABEL,
    PREDICTION,
    RAW_PREDICTION,
    SPLIT,
    TEST,
    VALIDATION,
)
from glasses_spark.config.config import Config
from glasses_spark.config.training import EvaluationConfig
from glasses_spark.evaluation.calibration import (
    Calibration,
    calibrate,
    scaled_predictions,
    scaled_scores,
)
from glasses_spark.evaluation.evaluate_parts import PartsEvaluation, evaluate_parts
from glasses_spark.evaluation.metrics import Metrics, add_predicted_label
from glasses_spark.evaluation.scores import Scores, collect_scores
from glasses_spark.evaluation.threshold import Costs
from glasses_spark.pipeline.pixels import part_column
from glasses_spark.reports.gallery import Choice, choose_faces

if TYPE_CHECKING:
    from glasses_spark.scoring.transformer import GlassesModel


@dataclass(frozen=True)
class ScoredParts:
    """Predictions of a fitted model and their evaluation.

    Attributes:
        predictions: Predictions, with the temperature where there is one.
        evaluation: Evaluation by part.
        calibration: The temperature and its effect; None without
            ``evaluation.calibrate``.
    """

    predictions: DataFrame
    evaluation: PartsEvaluation
    calibration: Calibration | None


def predict_parts(model: GlassesModel, pixels: DataFrame, config: Config) -> DataFrame:
    """Score images in one pass; see ``GlassesPipeline.predict``."""
    scored = with_runtime(model, config).transform(
        pixels.withColumn(SPLIT, part_column(config, pixels))
    )
    has_logits = RAW_PREDICTION in scored.columns
    logit = (
        [F.get(vector_to_array(F.col(RAW_PREDICTION)), 1).alias(RAW_PREDICTION)]
        if has_logits
        else []
    )
    return add_predicted_label(scored, threshold=config.evaluation.threshold).select(
        ID, PATH, LABEL, SPLIT, PREDICTION, *logit, PREDICTED_LABEL
    )


def with_runtime(model: GlassesModel, config: Config) -> GlassesModel:
    """Return the model with the configured runtime; without one it keeps its own."""
    defaults, evaluation = EvaluationConfig(), config.evaluation
    names = ("scoring_runtime", "scoring_precision")
    changed = {
        name: getattr(evaluation, name)
        for name in names
        if getattr(evaluation, name) != getattr(defaults, name)
    }
    return model.copy({model.getParam(name): value for name, value in changed.items()})


def score_parts(model: GlassesModel, predictions: DataFrame, config: Config) -> ScoredParts:
    """Evaluate predictions, and calibrate the model first if so configured.

    Args:
        model: The fitted model; its temperature is set by the calibration.
        predictions: Its predictions, persisted.
        config: Configuration of the run.
    """
    evaluation = config.evaluation
    calibration: Calibration | None = None
    scores = _collect_scores(predictions, config)
    if evaluation.calibrate:
        calibration = calibrate(scores, on=VALIDATION)
        temperature = _apply_temperature(model, calibration)
        predictions = _scale(predictions, temperature, config)
        scores = {part: scaled_scores(values, temperature) for part, values in scores.items()}
    evaluated = evaluate_parts(
        scores,
        threshold=evaluation.threshold,
        costs=Costs(evaluation.cost_false_positive, evaluation.cost_false_negative),
    )
    return ScoredParts(predictions, evaluated, calibration)


def calibrate_model(model: GlassesModel, predictions: DataFrame, config: Config) -> Calibration:
    """Fit a temperature and set it in the model; see ``GlassesPipeline.calibrate``."""
    calibration = calibrate(_collect_scores(predictions, config), on=VALIDATION)
    _apply_temperature(model, calibration)
    return calibration


def choose_test_faces(predictions: DataFrame, *, rows: int) -> Choice:
    """Choose the images of the test set that the report shows; it has so many rows."""
    return choose_faces(predictions.where(F.col(SPLIT) == TEST), rows=rows)


def headline(test: Metrics) -> str:
    """Return the metrics of the test set in one line."""
    return f"Test: accuracy {test.accuracy:.4f}, log loss {test.log_loss:.4f}, {test.rows:,} images"


def _collect_scores(predictions: DataFrame, config: Config) -> Mapping[str, Scores]:
    return collect_scores(predictions, part=SPLIT, threshold=config.evaluation.threshold)


def _apply_temperature(model: GlassesModel, calibration: Calibration) -> float:
    temperature = 1.0 if calibration.temperature is None else calibration.temperature
    # It was fitted to predictions that have the model's present temperature.
    model.set_temperature(model.get_temperature() * temperature)
    return temperature


def _scale(predictions: DataFrame, temperature: float, config: Config) -> DataFrame:
    if temperature == 1.0:
        return predictions
    scaled = scaled_predictions(predictions, temperature)
    return add_predicted_label(scaled, threshold=config.evaluation.threshold)
