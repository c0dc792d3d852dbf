"""Tests for glasses_spark.training.valid_rows."""

from __future__ import annotations

import logging

import pytest
from pyspark.ml.linalg import Vectors
from pyspark.sql import SparkSession

from glasses_spark import build_estimator
from glasses_spark.scoring.model_ports import InputPort
from glasses_spark.training.settings import Columns
from glasses_spark.training.valid_rows import valid_rows
from tests.training.tiny import FEATURES, tiny_model

NAN, INF = float("nan"), float("inf")


def test_rows_that_a_fit_cannot_use_are_skipped_and_counted(
    spark: SparkSession, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [
        (0, [1.0, 2.0], bytearray(4), [1, 2], "a", 1.0),
        (1, [1.0, None], bytearray(4), [1, 2], "a", 1.0),
        (2, [1.0, NAN], bytearray(4), [1, 2], "a", 1.0),
        (3, [1.0, -INF], bytearray(4), [1, 2], "a", 1.0),
        (4, [1.0], bytearray(4), [1, 2], "a", 1.0),
        (5, None, bytearray(4), [1, 2], "a", 1.0),
        (6, [1.0, 2.0], bytearray(3), [1, 2], "a", 1.0),
        (7, [1.0, 2.0], None, [1, 2], "a", 1.0),
        (8, [1.0, 2.0], bytearray(4), [1, None], "a", 1.0),
        (9, [1.0, 2.0], bytearray(4), [1, 2], None, 1.0),
        (10, [1.0, 2.0], bytearray(4), [1, 2], "", NAN),
        (11, [1.0, 2.0], bytearray(4), [1, 2], "", None),
        (12, [1.0, 2.0], bytearray(4), [1, 2], "", 0.0),
    ]
    schema = "n int, x array<double>, p binary, i array<int>, s string, y double"
    frame = spark.createDataFrame(rows, schema)
    ports = [
        InputPort("x", "float32", (2,)),
        InputPort("p", "float32", (2, 2)),
        InputPort("i", "int64", (2,)),
        InputPort("s", "string", (1,)),
    ]
    with caplog.at_level(logging.WARNING):
        kept = valid_rows(frame, Columns(("x", "p", "i", "s"), ("y", None)), ports)
    assert [row.n for row in kept.orderBy("n").collect()] == [0, 12]
    assert kept.columns == frame.columns
    (message,) = caplog.messages
    assert message.startswith("11 of 13 rows are skipped, because of null, NaN, infinity or")
    assert message.endswith("'x' (5 rows), 'p' (2 rows), 'i' (1 rows), 's' (1 rows), 'y' (2 rows)")


@pytest.mark.slow
def test_a_fit_skips_rows_and_gives_handle_invalid_to_its_model(
    spark: SparkSession, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [(Vectors.dense([float(n)] * FEATURES), float(n % 2)) for n in range(8)]
    bad = [(None, 1.0), (Vectors.dense([NAN] * FEATURES), 1.0), (Vectors.dense([1.0]), 0.0)]
    frame = spark.createDataFrame([*rows, *bad], ["features", "label"])
    estimator = build_estimator(
        tiny_model(), 1, 4, categorical=False, handleInvalid="keep", invalidReasonCol="why"
    )
    fitted = estimator.fit(frame)
    assert fitted.summary.rows == 8
    assert "3 of 11 rows are skipped" in caplog.text
    assert fitted.transform(frame).where("why is not null").count() == 3
    assert build_estimator(tiny_model(), 1, 4, categorical=False).getHandleInvalid() == "error"
