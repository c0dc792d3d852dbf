"""Runs in every mode must learn more than a linear model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from glasses_spark.config.config import Config
from glasses_spark.datasets.drawn.draw_faces import draw_faces
from glasses_spark.datasets.drawn.labels import make_labels, write_labels
from glasses_spark.pipeline.pipeline import GlassesPipeline

pytestmark = [pytest.mark.slow, pytest.mark.rotated]

FACES = 900
SIDE = 64
# The CNN may make at most this share of the linear model's errors.
SHARE_OF_ERRORS = 0.5


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    folder = tmp_path_factory.mktemp("learning")
    write_labels(folder / "labels.csv", make_labels(FACES, seed=4))
    draw_faces(folder / "labels.csv", folder / "faces", size=96)
    return Config.from_dict(
        {
            "data": {"images": str(folder / "faces"), "labels": str(folder / "labels.csv")},
            "image": {"height": SIDE, "width": SIDE},
            "training": {"epochs": 12, "batch_size": 16, "num_workers": 2},
            "run": {"dir": str(folder / "run")},
            "store": {"dir": str(folder / "pixels")},
        }
    )


@pytest.fixture(scope="module")
def linear_accuracy(spark: SparkSession, config: Config) -> float:
    """Accuracy of the best of a few linear models on the same test set."""
    pipeline = GlassesPipeline(config)
    parts = pipeline.split(pipeline.preprocess(pipeline.load(spark)).good)
    (x, y), (x_test, y_test) = (arrays(part) for part in parts)
    models = [
        make_pipeline(PCA(100, random_state=0), LogisticRegression(C=c, max_iter=2000))
        for c in (0.001, 0.01, 0.1)
    ]
    spark.catalog.clearCache()
    return max(float(model.fit(x, y).score(x_test, y_test)) for model in models)


def arrays(part: DataFrame) -> tuple[Any, Any]:
    rows = part.select("pixels", "label").collect()
    pixels = np.frombuffer(b"".join(row.pixels for row in rows), np.uint8)
    return pixels.reshape(len(rows), -1) / 255, np.array([row.label for row in rows])


# test_trainer.py has all six combinations; runs of all of them would take long.
@pytest.mark.parametrize(
    ("mode", "frequency"),
    [
        ("asynchronous", "batch"),
        # tests/training shows that each mode trains as it should.
        pytest.param("synchronous", "epoch", marks=pytest.mark.exhaustive),
        pytest.param("hogwild", "batch", marks=pytest.mark.exhaustive),
    ],
)
def test_a_run_in_each_mode_beats_a_linear_model_on_the_test_set(
    spark: SparkSession,
    config: Config,
    linear_accuracy: float,
    tmp_path: Path,
    mode: str,
    frequency: str,
) -> None:
    settings = config.to_dict()
    settings["training"] |= {"mode": mode, "frequency": frequency}
    settings["run"] |= {"dir": str(tmp_path / "run")}
    result = GlassesPipeline(Config.from_dict(settings)).run(spark)
    assert all(epoch["rows"] == result.train.rows for epoch in result.history)
    assert result.test.accuracy > 1 - SHARE_OF_ERRORS * (1 - linear_accuracy)
    assert result.test.log_loss < np.log(2)
