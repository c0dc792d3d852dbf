"""Cross-validation: one fit for each fold, and the labels that are probably wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import DataFrame

from glasses_spark.columns import ID
from glasses_spark.config.config import Config
from glasses_spark.evaluation.cross_validation import Folds, assign_folds, cross_validate
from glasses_spark.evaluation.label_doubt import LabelDoubt, doubt_labels
from glasses_spark.evaluation.metrics import Metrics
from glasses_spark.pipeline.pixels import DecodedPixels
from glasses_spark.pipeline.stopwatch import Stopwatch
from glasses_spark.reports.cross_validation_page import Pictures, fetch_pictures
from glasses_spark.runtime.persist import persist

if TYPE_CHECKING:
    from glasses_spark.scoring.transformer import GlassesModel


@dataclass(frozen=True)
class ValidatedFolds:
    """Results of all folds.

    Attributes:
        folds: Results by fold; the predictions are persisted.
        out_of_fold: Metrics over the predictions of all images, each by the model that
            was not trained on it.
        doubt: Labels that are probably wrong.
        pictures: Pictures of the first of these images.
    """

    folds: Folds
    out_of_fold: Metrics
    doubt: LabelDoubt
    pictures: Pictures


def validate_folds(
    pixels: DecodedPixels,
    config: Config,
    watch: Stopwatch,
    *,
    fit: Callable[[DataFrame], GlassesModel],
    predict: Callable[[GlassesModel, DataFrame], DataFrame],
    evaluate: Callable[[DataFrame], Metrics],
) -> ValidatedFolds:
    """Fit and evaluate one model for each fold.

    Args:
        pixels: Decoded images; unpersisted at the end.
        config: Configuration of the run.
        watch: Measures the time of the folds as ``folds_s``.
        fit: Trains a model on ``pixels`` and ``label``.
        predict: Adds the model's predictions to images.
        evaluate: Computes metrics from predictions.
    """
    image = config.image
    folds = persist(
        assign_folds(pixels.images.good, folds=config.evaluation.folds, seed=config.run.seed)
    )
    try:
        images = pixels.images.good.join(folds, ID)
        with watch.timing("folds_s"):
            results = cross_validate(images, fit=fit, predict=predict, evaluate=evaluate)
        doubt = doubt_labels(results.predictions)
        pictures = fetch_pictures(images, doubt.listed, height=image.height, width=image.width)
        return ValidatedFolds(results, evaluate(results.predictions), doubt, pictures)
    finally:
        folds.unpersist()
        pixels.frame.unpersist()
