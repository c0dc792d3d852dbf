"""Tests for glasses_spark.scoring.ml_values; tests/training/test_ml_columns.py has the columns."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from glasses_spark.scoring.ml_values import is_number, ml_values, needs_logits
from glasses_spark.scoring.prediction_kind import LOGITS, NUMBERS, PROBABILITIES, PredictionKind

RAW, PROBABILITY, CLASS = "rawPredictionCol", "probabilityCol", "predictionCol"
ONE = PredictionKind(PROBABILITIES, 1)
NONE = np.zeros((0, 1))
SMALLEST = math.log(sys.float_info.min)


def test_the_raw_prediction_of_a_probability_that_is_rounded_to_one_is_its_logit() -> None:
    logits = np.array([[40.0], [90.0]])
    raw = ml_values(RAW, ONE, np.ones((2, 1)), logits)
    assert raw.tolist() == [[-40.0, 40.0], [-90.0, 90.0]]
    assert needs_logits(RAW, ONE)
    assert not needs_logits(PROBABILITY, ONE)
    assert not needs_logits(RAW, PredictionKind(PROBABILITIES, 2))


@pytest.mark.parametrize(
    ("kind", "outputs", "raw", "probability"),
    [
        (PredictionKind(PROBABILITIES, 2), [1.0, 0.0], [0.0, SMALLEST], [1.0, 0.0]),
        (PredictionKind(LOGITS, 1), [0.0], [0.0, 0.0], [0.5, 0.5]),
        (PredictionKind(LOGITS, 1), [-800.0], [800.0, -800.0], [1.0, 0.0]),
        (PredictionKind(LOGITS, 2), [900.0, 900.0], [900.0, 900.0], [0.5, 0.5]),
    ],
)
def test_outputs_give_raw_predictions_and_probabilities(
    kind: PredictionKind, outputs: list[float], raw: list[float], probability: list[float]
) -> None:
    values = np.array([outputs])
    np.testing.assert_allclose(ml_values(RAW, kind, values, NONE), [raw])
    found = ml_values(PROBABILITY, kind, values, NONE)
    np.testing.assert_allclose(found, [probability], atol=1e-15)


def test_the_first_of_equal_classes_is_taken() -> None:
    kind = PredictionKind(PROBABILITIES, 3)
    values = np.array([[0.2, 0.4, 0.4], [0.5, 0.3, 0.2]])
    assert ml_values(CLASS, kind, values, NONE).tolist() == [[1.0], [0.0]]
    assert ml_values(CLASS, kind, values, NONE, [1, 1, 0.1]).tolist() == [[2.0], [2.0]]


def test_a_regression_keeps_its_numbers() -> None:
    values = np.array([[1.5, 2.5]])
    assert ml_values(CLASS, PredictionKind(NUMBERS, 2), values, NONE) is values
    assert is_number(PredictionKind(NUMBERS, 1), CLASS)
    assert not is_number(PredictionKind(NUMBERS, 2), CLASS)
