"""Tests for glasses_spark.scoring.udf, without Spark."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from glasses_spark.runtime.keras import import_keras
from glasses_spark.scoring.prediction_kind import LOGITS, NUMBERS, PROBABILITIES, PredictionKind
from glasses_spark.scoring.predictor import TrainedModel
from glasses_spark.scoring.udf import Scoring, scoring_function
from tests.training.tiny import separable, tiny_model


def score(batches: list[Any], *, model: Any = None, **changes: Any) -> list[pd.DataFrame]:
    digest = "test_udf" if model is None else str(id(model))
    model = tiny_model() if model is None else model
    function = scoring_function(
        TrainedModel(digest, model.to_json(), ()),
        SimpleNamespace(value={"weights": model.get_weights()}),  # type: ignore[arg-type]
        Scoring(
            **{
                "features": ["column 'features'"],
                "dtypes": ["float32"],
                "kinds": [PredictionKind(PROBABILITIES, 1)],
                "batch_size": 4,
                **changes,
            }
        ),
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
    assert frames[0].reason.isna().all()


def test_the_columns_of_spark_ml_come_with_the_predictions() -> None:
    wanted = ["rawPredictionCol", "probabilityCol", "predictionCol"]
    (frame,) = score([rows(5)], ml_columns=wanted)
    p = np.array([row[0] for row in frame.prediction])
    raw, probability = np.stack(frame.rawPredictionCol), np.stack(frame.probabilityCol)
    np.testing.assert_allclose(p, 1 / (1 + np.exp(-raw[:, 1])), atol=1e-6)
    np.testing.assert_array_equal(probability, np.stack([1 - p, p], axis=1))
    assert frame.predictionCol.tolist() == (p > 0.5).astype(float).tolist()


def test_the_prediction_of_a_regression_is_a_number() -> None:
    (frame,) = score([rows(5)], kinds=[PredictionKind(NUMBERS, 1)])
    assert frame.prediction.dtype == np.float64


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (PredictionKind(LOGITS, 1), "prediction array<double>, predictionCol double"),
        (PredictionKind(NUMBERS, 1), "prediction double, predictionCol double"),
        (PredictionKind(NUMBERS, 2), "prediction array<double>, predictionCol array<double>"),
    ],
)
def test_the_schema_has_the_types_of_the_columns(kind: PredictionKind, expected: str) -> None:
    scoring = Scoring(["x"], ["float32"], [kind], ml_columns=["predictionCol"])
    assert scoring.schema == f"{expected}, reason string"


def test_pixels_are_taken_from_bytes() -> None:
    pixels = pd.Series([bytes([0, 51, 102, 153, 204, 255])])
    numbers = pd.Series([np.array([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])])
    (from_pixels,) = score([pixels], dtypes=["uint8"])
    (from_numbers,) = score([numbers])
    assert from_pixels.prediction[0] == pytest.approx(from_numbers.prediction[0], abs=1e-6)


def test_a_row_that_cannot_be_scored_has_a_reason_and_nothing_else() -> None:
    x, _ = separable(6)
    table = [*x[:5], np.zeros(5), None, x[5]]
    columns = ["rawPredictionCol", "probabilityCol", "predictionCol"]
    (frame,) = score([pd.Series(table)], ml_columns=columns)
    (valid,) = score([rows(6)], ml_columns=columns)
    assert frame.reason.tolist() == [
        *[None] * 5,
        "column 'features': expected 6 numbers for an input of 6 in every row, got 5",
        "column 'features': expected a value in every row, got null",
        None,
    ]
    assert frame.drop(columns="reason")[5:7].isna().all(axis=None)
    assert frame.prediction.drop([5, 6]).map(list).tolist() == valid.prediction.map(list).tolist()


def test_the_first_input_with_a_reason_gives_it() -> None:
    keras = import_keras()
    ports = [keras.Input((size,), name=name) for name, size in (("a", 1), ("b", 2))]
    model = keras.Model(ports, keras.layers.Dense(1)(keras.layers.Concatenate()(ports)))
    inputs = (
        pd.Series([np.ones(1), None, np.ones(2), np.ones(1)]),
        pd.Series([np.ones(2), None, np.ones(2), np.ones(1)]),
    )
    (frame,) = score(
        [inputs],
        model=model,
        features=["column 'x'", "column 'y'"],
        dtypes=["float32", "float32"],
        batch_size=2,
    )
    assert [str(reason)[:10] for reason in frame.reason] == [
        "None",
        "column 'x'",
        "column 'x'",
        "column 'y'",
    ]


def test_spark_sees_a_udf_of_iterators() -> None:
    function = scoring_function(
        TrainedModel("test_udf", "{}", ()),
        SimpleNamespace(value=[]),  # type: ignore[arg-type]
        Scoring(["features"], ["float32"], [PredictionKind(PROBABILITIES, 1)]),
    )
    assert function.__annotations__ == {
        "batches": Iterator[pd.Series],
        "return": Iterator[pd.DataFrame],
    }
