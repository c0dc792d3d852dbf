"""Tests for glasses_spark.scoring.udf, without Spark."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from glasses_spark.errors import ScoringError
from glasses_spark.scoring.predictor import TrainedModel
from glasses_spark.scoring.udf import scoring_function
from tests.training.tiny import separable, tiny_model


def score(batches: list[pd.Series], **changes: Any) -> list[pd.DataFrame]:
    model = tiny_model()
    function = scoring_function(
        TrainedModel("test_udf", model.to_json(), ()),
        SimpleNamespace(value={"weights": model.get_weights()}),
        **{"with_logits": False, "regression": [False], "batch_size": 4, **changes},
    )
    return list(function(iter(batches)))


def rows(count: int) -> pd.Series:
    x, _ = separable(count)
    return pd.Series(list(x))


def test_each_batch_of_rows_gives_a_frame_of_as_many_predictions() -> None:
    frames = score([rows(10), rows(0), rows(3)])
    assert [len(frame) for frame in frames] == [10, 0, 3]
    x, _ = separable(10)
    expected = tiny_model().predict(x, verbose=0)[:, 0]
    np.testing.assert_allclose([row[0] for row in frames[0].prediction], expected, atol=1e-6)
    assert frames[0].rawPrediction.isna().all()


def test_logits_are_in_the_column_of_raw_predictions() -> None:
    (frame,) = score([rows(5)], with_logits=True)
    probabilities = np.array([row[0] for row in frame.prediction])
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-frame.rawPrediction)), atol=1e-6)


def test_the_prediction_of_a_regression_is_a_number() -> None:
    (frame,) = score([rows(5)], regression=[True])
    assert frame.prediction.dtype == np.float64


def test_pixels_are_taken_from_bytes() -> None:
    pixels = pd.Series([bytes([0, 51, 102, 153, 204, 255])])
    numbers = pd.Series([np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])])
    from_pixels, from_numbers = score([pixels, numbers])
    assert from_pixels.prediction[0] == pytest.approx(from_numbers.prediction[0], abs=1e-6)


def test_a_null_is_an_error() -> None:
    with pytest.raises(ScoringError, match="expected a value in every row, got 1 nulls"):
        score([pd.Series([np.zeros(6), None])])


def test_rows_of_different_lengths_are_an_error() -> None:
    with pytest.raises(ScoringError, match=r"expected rows of one length, got \[5, 6\]"):
        score([pd.Series([np.zeros(6), np.zeros(5)])])


def test_spark_sees_a_udf_of_iterators() -> None:
    function = scoring_function(
        TrainedModel("test_udf", "{}", ()),
        SimpleNamespace(value=[]),
        with_logits=False,
        regression=[False],
        batch_size=4,
    )
    assert function.__annotations__ == {
        "batches": Iterator[pd.Series],
        "return": Iterator[pd.DataFrame],
    }
