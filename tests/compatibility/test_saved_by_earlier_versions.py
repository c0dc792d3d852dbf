"""Tests that models, run folders and pixel stores of commit 0b62211 still load.

saved_0b62211/README.md describes how they were made. The recorded predictions are those of
that commit.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from glasses_spark import Config, GlassesEstimator, GlassesModel, GlassesPipeline
from glasses_spark.cli.main import main

SAVED: Final = Path(__file__).parent / "saved_0b62211"
TOLERANCE: Final = 1e-6

# Where the images were. The pixel store identifies them by this path.
FORMER_FACES: Final = "/tmp/saved_0b62211/faces"


@pytest.fixture(scope="module")
def rows() -> dict[str, Any]:
    """The training rows of the saved models, with the recorded predictions."""
    with np.load(SAVED / "rows.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def frame(spark: SparkSession, rows: dict[str, Any]) -> DataFrame:
    """The training rows as a DataFrame."""
    table = zip(rows["features"].tolist(), rows["label"].tolist(), strict=True)
    numbered = [(number, *row) for number, row in enumerate(table)]
    schema = "id int, features array<float>, label double"
    return spark.createDataFrame(numbered, schema)


def predictions_of(model: GlassesModel, frame: DataFrame) -> list[float]:
    """Return the probabilities of all rows, ordered by ``id``."""
    return [row.prediction[0] for row in model.transform(frame).orderBy("id").collect()]


@pytest.mark.slow
@pytest.mark.usefixtures("spark")
@pytest.mark.parametrize("name", ["model", "model.h5"])
def test_a_saved_model_predicts_as_before(
    frame: DataFrame, rows: dict[str, Any], name: str
) -> None:
    model = GlassesModel.load(str(SAVED / name))

    assert model.get_temperature() == 1.5
    assert [epoch["rows"] for epoch in model.history] == [24, 24, 24]
    assert predictions_of(model, frame) == pytest.approx(rows["prediction"], abs=TOLERANCE)


@pytest.mark.slow
@pytest.mark.usefixtures("spark")
@pytest.mark.parametrize("name", ["estimator", "estimator.h5"])
def test_a_saved_estimator_fits_as_before(
    frame: DataFrame, rows: dict[str, Any], name: str
) -> None:
    estimator = GlassesEstimator.load(str(SAVED / name))

    assert (estimator.get_epochs(), estimator.get_batch_size()) == (3, 8)
    assert (estimator.get_mode(), estimator.get_frequency()) == ("synchronous", "batch")
    assert estimator.getSeed() == 5
    fitted = estimator.fit(frame)
    fitted.set_temperature(1.5)
    assert predictions_of(fitted, frame) == pytest.approx(rows["prediction"], abs=TOLERANCE)


@pytest.mark.slow
@pytest.mark.usefixtures("spark")
def test_the_model_of_a_saved_run_predicts_as_before(tmp_path: Path) -> None:
    out = tmp_path / "predictions.csv"

    code = main(["predict", "--model", str(SAVED / "run"), "--out", str(out), str(SAVED / "faces")])

    assert code == 0
    recorded = pq.read_table(SAVED / "run" / "predictions.parquet").to_pylist()
    probability_of = {Path(row["path"]).name: row["prediction"][0] for row in recorded}
    with out.open() as file:
        predicted = {Path(row["path"]).name: row["probability"] for row in csv.DictReader(file)}
    assert len(probability_of) == 15
    for name, probability in probability_of.items():
        assert float(predicted[name]) == pytest.approx(probability, abs=TOLERANCE), name


@pytest.mark.usefixtures("spark")
def test_a_saved_run_can_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy = shutil.copytree(SAVED / "run", tmp_path / "copy")

    code = main(["compare", str(SAVED / "run"), str(copy), "--json"])

    assert code == 0
    comparison = json.loads(capsys.readouterr().out)
    metrics = json.loads((SAVED / "run" / "metrics.json").read_text())
    assert str(metrics["test"]["accuracy"]) in json.dumps(comparison)


def test_a_saved_pixel_store_is_reused(spark: SparkSession, tmp_path: Path) -> None:
    faces = shutil.copytree(SAVED / "faces", tmp_path / "faces")
    move_store(SAVED / "pixels", tmp_path / "pixels", faces)
    config = Config.load(
        SAVED / "run" / "config.toml",
        [
            f"data.images={faces}",
            f"data.labels={SAVED / 'labels.csv'}",
            f"store.dir={tmp_path / 'pixels'}",
        ],
    )

    prepared = GlassesPipeline(config).prepare(spark)

    assert (prepared.decoded, prepared.reused) == (0, 15)


def move_store(store: Path, target: Path, faces: Path) -> None:
    """Copy a pixel store as if its images had always been in another folder.

    The store's folder is named after the location of the images, the glob and the version of
    the decoder. Its rows have the path, the length and the modification time of each image.
    """
    (folder,) = store.iterdir()
    size, former_digest = folder.name.split("-")
    assert former_digest == digest_of_source(FORMER_FACES)
    moved = target / f"{size}-{digest_of_source(str(faces))}"
    shutil.copytree(folder, moved, ignore=shutil.ignore_patterns("*.crc", ".*.crc"))
    for file in moved.rglob("*.parquet"):
        # Spark writes timestamps as INT96.
        table = pq.read_table(file, coerce_int96_timestamp_unit="us")
        paths = [path.as_py().replace(FORMER_FACES, str(faces)) for path in table["path"]]
        for path, time in zip(paths, table["modificationTime"].cast(pa.int64()), strict=True):
            os.utime(path.removeprefix("file:"), ns=(0, 1000 * time.as_py()))
        index = table.column_names.index("path")
        moved_table = table.set_column(index, "path", pa.array(paths))
        pq.write_table(moved_table, file, use_deprecated_int96_timestamps=True)


def digest_of_source(faces: str) -> str:
    """Return the digest in the name of a store's folder, for the decoder of that commit."""
    return hashlib.sha256(f"{faces}\n*.png\n1/opencv-4".encode()).hexdigest()[:12]
