"""Tests for glasses_spark.pipeline.score."""

from __future__ import annotations

import math
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession

from glasses_spark.config.config import Config
from glasses_spark.errors import ScoringError
from glasses_spark.pipeline.score import calibrate_model, headline, score_parts

SCHEMA = (
    "id int, path string, label double, split string, prediction array<double>, "
    "rawPrediction double, predicted_label double"
)
# Logits of one size, of which a tenth and a quarter are wrong: too far from 0.
LOGIT = 4.0


class Model:
    """A model with a temperature."""

    def __init__(self) -> None:
        self.temperature = 2.0

    def get_temperature(self) -> float:
        return self.temperature

    def set_temperature(self, value: float) -> None:
        self.temperature = value


@pytest.fixture(scope="module")
def predictions(spark: SparkSession) -> DataFrame:
    rows: list[Any] = []
    for part, count, wrong in [("train", 20, 0), ("validation", 20, 2), ("test", 20, 5)]:
        for number in range(count):
            label = float(number % 2)
            sign = 1 if (label == 1.0) == (number >= wrong) else -1
            logit = sign * LOGIT
            probability = 1 / (1 + math.exp(-logit))
            row = (len(rows), "", label, part, [probability], logit, float(logit > 0))
            rows.append(row)
    return spark.createDataFrame(rows, SCHEMA).cache()


def test_parts_are_evaluated_each_by_its_rows(predictions: DataFrame) -> None:
    model: Any = Model()
    scored = score_parts(model, predictions, Config())
    metrics = scored.evaluation.metrics
    assert {part: m.accuracy for part, m in metrics.items()} == {
        "train": 1.0,
        "validation": 0.9,
        "test": 0.75,
    }
    assert scored.calibration is None
    assert scored.predictions is predictions
    assert model.temperature == 2.0


def test_calibration_sets_the_temperature_and_scales_the_predictions(
    predictions: DataFrame,
) -> None:
    model: Any = Model()
    config = Config.from_dict({"split": {"validation": 0.2}, "evaluation": {"calibrate": True}})

    scored = score_parts(model, predictions, config)

    # With a tenth of the rows wrong, the best probability is 0.9, with the logit log(9).
    assert scored.calibration is not None
    temperature = scored.calibration.temperature
    assert temperature == pytest.approx(LOGIT / math.log(9), rel=1e-4)
    assert model.temperature == pytest.approx(2 * LOGIT / math.log(9), rel=1e-4)
    logits = [abs(row.rawPrediction) for row in scored.predictions.collect()]
    assert logits == pytest.approx([math.log(9)] * 60, rel=1e-4)
    assert scored.evaluation.metrics["validation"].log_loss < 0.33


def test_a_model_is_calibrated_on_validation_rows(predictions: DataFrame) -> None:
    model: Any = Model()
    calibration = calibrate_model(model, predictions, Config())
    assert calibration.fitted_on == 20
    assert model.temperature == pytest.approx(2 * LOGIT / math.log(9), rel=1e-4)
    with pytest.raises(ScoringError, match="needs predictions of the validation set"):
        calibrate_model(model, predictions.where("split <> 'validation'"), Config())


def test_the_headline_has_the_metrics_of_the_test_set(predictions: DataFrame) -> None:
    model: Any = Model()
    metrics = score_parts(model, predictions, Config()).evaluation.metrics["test"]
    assert headline(metrics) == "Test: accuracy 0.7500, log loss 1.0181, 20 images"
