"""Tests for glasses_spark.runs.write."""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from glasses_spark.config.config import Config
from glasses_spark.preprocessing.quarantine import QuarantinedImage
from glasses_spark.reasons import Reason
from glasses_spark.runs.folder import OURS
from glasses_spark.runs.write import describe_environment, write_run
from glasses_spark.scorer.scorer import Scorer
from glasses_spark.scoring.pixel_statistics import MEASURES, PixelStatistics
from glasses_spark.scoring.transformer import GlassesModel
from glasses_spark.training.model import build_cnn
from tests.html_page import Page
from tests.reports import pages
from tests.runs.results import make_history, make_result

FILES = [
    "MODEL_CARD.md",
    "config.toml",
    "curves.json",
    "history.json",
    "metrics.json",
    "model",
    "model.keras",
    "model.onnx",
    "predictions.parquet",
    "quarantine.csv",
]


# Of 500 pictures without a pattern.
STATISTICS = PixelStatistics(500, bytes(256), {name: (0.0, 255.0) for name in MEASURES})


def write(spark: SparkSession, folder: Path, *settings: str, **fields: Any) -> list[str]:
    """Write a small run and return the names in its folder."""
    network = build_cnn(32, 32)
    model = GlassesModel(
        keras_model_config=network.to_json(),
        weights=network.get_weights(),
        history=make_history(),
        featuresCol="pixels",
        rawPredictionCol="rawPrediction",
    )
    predictions = spark.createDataFrame(
        [(2, "b.png", 1.0, "test", [0.75], 1.0), (1, "a.png", 0.0, "train", [0.5], 1.0)],
        "id INT, path STRING, label DOUBLE, split STRING, prediction ARRAY<DOUBLE>, "
        "predicted_label DOUBLE",
    )
    folder.mkdir()
    write_run(
        folder,
        make_result(str(folder), model=model, predictions=predictions, **fields),
        Config.load(None, ["image.height=32", "image.width=32", *settings]),
        quarantine=[QuarantinedImage("bad.png", 3, Reason.NOT_PNG, "not an image")],
        duplicates=None,
        environment=describe_environment(spark),
        data_digest="0123456789abcdef",
        gallery=pages.gallery(1),
    )
    return sorted(path.name for path in folder.iterdir())


def network_parameters() -> int:
    return int(build_cnn(32, 32).count_params())


@pytest.mark.slow
def test_a_run_folder_has_all_files(spark: SparkSession, tmp_path: Path) -> None:
    folder = tmp_path / "run"

    assert write(spark, folder, "run.plots=true", training_pixels=STATISTICS) == sorted(
        [*FILES, "report.html", "plots"]
    )

    # The next run replaces these, and keeps the files of the user.
    assert {path.name for path in folder.iterdir()} <= OURS
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["test"]["rows"] == 200
    assert metrics["data"]["used"] == 200
    assert metrics["digests"]["data"] == "0123456789abcdef"
    assert "thresholds" not in metrics
    assert PixelStatistics.from_dict(metrics["training_pixels"]) == STATISTICS
    assert Scorer.load(folder).metadata.training_pixels == STATISTICS.as_dict()
    assert pq.read_table(folder / "predictions.parquet").column("id").to_pylist() == [1, 2]
    assert (folder / "quarantine.csv").read_text().splitlines() == [
        "path,reason,detail",
        "bad.png,not_png,not an image",
    ]
    page = Page((folder / "report.html").read_text())
    assert "not an image" in page.text
    assert any(picture["alt"] for picture in page.all("img"))
    assert (folder / "plots" / "roc.png").is_file()
    card = (folder / "MODEL_CARD.md").read_text()
    assert "one grey picture of 32 x 32 pixels" in card
    assert f"{network_parameters():,} parameters" in card
    assert "Scorer.load(" in card
    assert f"| accuracy | {metrics['test']['accuracy']:.4f} (" in card
    assert f"`{metrics['digests']['weights']}`" in card


@pytest.mark.slow
@pytest.mark.parametrize("package", ["jinja2", "matplotlib"])
def test_a_run_without_the_report_extra_is_complete_except_for_the_report(
    spark: SparkSession,
    tmp_path: Path,
    package: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # makes its import fail

    with caplog.at_level(logging.WARNING, "glasses_spark"):
        assert write(spark, tmp_path / "run") == FILES

    (message,) = [
        record.getMessage()
        for record in caplog.records
        if record.name == "glasses_spark.runs.write"
    ]
    assert message == (
        f"report.html skipped: an HTML report needs the package {package}, which is not installed. "
        'Install it: pip install "glasses-spark[report]"'
    )


@pytest.mark.slow
def test_the_model_card_has_no_secrets(spark: SparkSession, tmp_path: Path) -> None:
    write(spark, tmp_path / "run", "data.images=https://me:pw@host/faces")

    card = (tmp_path / "run" / "MODEL_CARD.md").read_text()
    assert "- Images: `https://host/faces`" in card
    assert "pw" not in card
