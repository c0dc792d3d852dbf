"""Tests for glasses_spark.evaluation.calibration."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession

from glasses_spark.errors import ScoringError
from glasses_spark.evaluation.calibration import (
    calibrate,
    expected_calibration_error,
    fit_temperature,
    scaled_predictions,
    scaled_scores,
)
from glasses_spark.evaluation.curves import ReliabilityBin
from glasses_spark.evaluation.losses import log_loss
from glasses_spark.evaluation.scores import Scores, scores_of


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def overconfident(temperature: float, *, rows: int, seed: int) -> Scores:
    """Scores whose logits are too large by a factor, the temperature."""
    generator = np.random.default_rng(seed)
    logit = generator.normal(0, 3 * temperature, rows)
    label = generator.random(rows) < sigmoid(logit / temperature)
    return scores_of(label, sigmoid(logit), logit)


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5, 20.0])
def test_the_fitted_temperature_is_that_of_the_labels(temperature: float) -> None:
    result = fit_temperature(overconfident(temperature, rows=50_000, seed=1))
    assert result == pytest.approx(temperature, rel=0.03)


def test_neighbouring_temperatures_have_a_higher_loss() -> None:
    scores = overconfident(2.0, rows=300, seed=2)
    result = fit_temperature(scores)
    assert result is not None
    best, *neighbours = (
        log_loss(scaled_scores(scores, result * factor)).mean for factor in (1, 0.999, 1.001)
    )
    assert best < min(neighbours)


@pytest.mark.parametrize(
    ("labels", "logits"),
    [
        pytest.param([0, 0, 1], [-2.0, -1.0, 3.0], id="all correct"),
        pytest.param([1, 1, 0], [-2.0, -1.0, 3.0], id="all incorrect"),
        pytest.param([1], [2.0], id="one row"),
        pytest.param([1, 0], [0.0, 0.0], id="logits of 0"),
    ],
)
def test_probabilities_stay_unchanged_without_a_best_temperature(
    labels: list[int], logits: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    scores = scores_of(labels, sigmoid(np.array(logits)), logits)

    with caplog.at_level(logging.WARNING):
        result = calibrate({"validation": scores}, on="validation")

    assert result.temperature is None
    assert result.before == result.after
    assert f"the log loss of the {len(labels)} validation images has no minimum" in caplog.text


def test_calibration_improves_the_probabilities_of_other_images() -> None:
    parts = {
        "validation": overconfident(3.0, rows=2000, seed=3),
        "test": overconfident(3.0, rows=2000, seed=4),
    }

    result = calibrate(parts, on="validation")

    assert result.fitted_on == 2000
    for part in parts:
        before, after = result.before[part], result.after[part]
        assert before.expected_calibration_error > 0.08
        assert after.expected_calibration_error < 0.03
        assert after.log_loss < before.log_loss
        assert after.brier_score < before.brier_score
    assert result.as_dict()["temperature"] == result.temperature


def test_only_the_named_part_is_fitted() -> None:
    validation = overconfident(3.0, rows=500, seed=3)
    test_sets = [overconfident(0.5, rows=500, seed=4), overconfident(9.0, rows=500, seed=5)]
    result = {
        calibrate({"validation": validation, "test": test}, on="validation").temperature
        for test in test_sets
    }
    assert len(result) == 1


def test_calibration_without_validation_rows_is_an_error() -> None:
    with pytest.raises(ScoringError, match=r"needs predictions of the validation set, .* of test"):
        calibrate({"test": scores_of([1], [0.5])}, on="validation")


def test_the_calibration_error_weights_bins_by_their_images() -> None:
    bins = [ReliabilityBin(0.0, 0.1, 9, 0.05, 0.05), ReliabilityBin(0.9, 1.0, 1, 0.95, 0.0)]
    assert expected_calibration_error(bins) == pytest.approx(0.95 / 10)


def test_scaled_predictions_equal_scaled_scores(spark: SparkSession) -> None:
    logits = [-800.0, -3.0, 0.0, 1.5, 800.0]
    rows = [(1.0, [float(sigmoid(np.clip(z, -700, 700)))], z) for z in logits]
    frame = spark.createDataFrame(
        rows, "label DOUBLE, prediction ARRAY<DOUBLE>, rawPrediction DOUBLE"
    )

    scaled = scaled_predictions(frame, 2.5)

    assert scaled.columns == frame.columns
    expected = scaled_scores(scores_of([1] * 5, [0.5] * 5, logits), 2.5)
    result = scaled.orderBy("rawPrediction").collect()
    assert [len(row.prediction) for row in result] == [1] * 5
    assert [row.prediction[0] for row in result] == pytest.approx(expected.probability.tolist())
    assert [row.rawPrediction for row in result] == expected.logit.tolist()
    with pytest.raises(ScoringError, match="needs logits in the column rawPrediction"):
        scaled_predictions(frame.drop("rawPrediction"), 2.5)
