"""Scores: predictions of a fitted model, calibrated and evaluated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from glasses_spark.evaluation.calibration import (
    Calibration,
)
from glasses_spark.evaluation.metrics import (
    Metrics,
)

if TYPE_CHECKING:
    from glasses_spark.scoring.transformer import GlassesModel


def apply_temperature(model: GlassesModel, calibration: Calibration) -> float:
    temperature = 1.0 if calibration.temperature is None else calibration.temperature
    # It was fitted to what the model gives now.
    model.set_temperature(model.get_temperature() * temperature)
    return temperature


def headline(test: Metrics) -> str:
    return f"Test: accuracy {test.accuracy:.4f}, log loss {test.log_loss:.4f}, {test.rows:,} images"
