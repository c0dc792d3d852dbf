"""Tests for glasses_spark.pipeline.fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from glasses_spark import build_cnn
from glasses_spark.config.config import Config
from glasses_spark.pipeline.fit import class_weights, fit_model
from glasses_spark.runtime.progress import Progress

SIDE = 16


class RecordedProgress(Progress):
    """Progress that keeps the summaries of models."""

    def __init__(self) -> None:
        self.summaries: list[str] = []

    def model(self, summary: str) -> None:
        self.summaries.append(summary)


def config(**training: Any) -> Config:
    settings = {"epochs": 1, "batch_size": 8, "num_workers": 1, "mode": "synchronous"}
    return Config.from_dict(
        {
            "image": {"height": SIDE, "width": SIDE},
            "split": {"validation": 0.3},
            "training": {**settings, **training},
        }
    )


@pytest.fixture(scope="module")
def noise(spark: SparkSession) -> DataFrame:
    """40 images of noise, from which nothing can be learned."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (40, SIDE * SIDE)).astype(np.uint8)
    rows = [
        (number, bytearray(image.tobytes()), number % 2 + 0.0)
        for number, image in enumerate(images)
    ]
    return spark.createDataFrame(rows, "id int, pixels binary, label double").cache()


def test_balanced_weights_give_both_labels_the_same_total(spark: SparkSession) -> None:
    labels = [0.0] * 6 + [1.0] * 2
    train = spark.createDataFrame([(label,) for label in labels], "label double")
    assert class_weights(train) == {0.0: pytest.approx(8 / 12), 1.0: pytest.approx(2.0)}


def test_validation_rows_do_not_count_for_the_weights(spark: SparkSession) -> None:
    rows = [(0.0, False), (0.0, False), (1.0, False), (1.0, False), (1.0, True)]
    train = spark.createDataFrame(rows, "label double, is_validation boolean")
    assert class_weights(train) == {0.0: 1.0, 1.0: 1.0}


@pytest.mark.slow
def test_early_stopping_ends_a_fit_that_learns_nothing(noise: DataFrame) -> None:
    progress = RecordedProgress()
    settings = config(epochs=60, early_stopping=1, class_weight="balanced", learning_rate=0.01)
    model = fit_model(noise, settings, progress, show_summary=True)
    assert 1 < len(model.history) < 60
    assert all("val_loss" in epoch for epoch in model.history)
    assert model.history[0]["rows"] < 40
    assert len(progress.summaries) == 1
    assert "Total params" in progress.summaries[0]


@pytest.mark.slow
def test_the_configured_learning_rate_is_that_of_the_fit(noise: DataFrame) -> None:
    first, second = (
        fit_model(noise, config(learning_rate=rate), RecordedProgress(), show_summary=False)
        for rate in (1e-30, 0.01)
    )
    initial = build_cnn(SIDE, SIDE).get_weights()
    assert all(np.allclose(a, b) for a, b in zip(first.weights, initial, strict=True))
    assert not np.allclose(second.weights[0], initial[0])
