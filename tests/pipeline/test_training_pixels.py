"""Tests for glasses_spark.pipeline.training_pixels."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import SparkSession

from glasses_spark.pipeline import training_pixels
from glasses_spark.pipeline.training_pixels import training_statistics
from glasses_spark.scoring.pixel_statistics import measure_pixels, summarize


def test_the_statistics_are_those_of_the_pixels(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = np.random.default_rng(2).integers(0, 256, (600, 20, 16), np.uint8)
    rows = [(index, bytearray(picture.tobytes())) for index, picture in enumerate(pictures)]
    train = spark.createDataFrame(rows, "id INT, pixels BINARY")

    found = training_statistics(train, rows=600, height=20, width=16)

    expected = summarize(np.array([measure_pixels(picture) for picture in pictures]))
    assert found is not None
    assert expected is not None
    assert found.rows == 600
    for name, bounds in expected.bounds.items():
        assert found.bounds[name] == pytest.approx(bounds, abs=1e-4)

    monkeypatch.setattr(training_pixels, "MOST_ROWS", 550)
    sample = training_statistics(train, rows=600, height=20, width=16)
    assert sample is not None
    assert 500 <= sample.rows < 600
    assert sample == training_statistics(train, rows=600, height=20, width=16)

    assert training_statistics(train, rows=499, height=20, width=16) is None
