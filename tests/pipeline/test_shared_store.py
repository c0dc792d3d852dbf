"""Two processes with one pixel store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from glasses_spark.config.config import Config
from glasses_spark.loading.dataset import load_dataset
from glasses_spark.pipeline.pixels import decode_images
from glasses_spark.runtime.progress import Progress
from tests.faces import write_faces, write_labels


def prepare(folder: Path) -> str:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "glasses_spark", "prepare", "--config", "run.toml", "--vacuum"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


@pytest.mark.rotated(0)
def test_a_run_keeps_its_pixels_while_another_process_replaces_them(
    spark: SparkSession, tmp_path: Path
) -> None:
    faces = write_faces(tmp_path / "faces", [f"{n}.png" for n in range(10)])
    labels = write_labels(tmp_path / "labels.csv", {n: float(n % 2) for n in range(10)})
    config = Config.from_dict(
        {
            "data": {"images": str(faces), "labels": str(labels)},
            "image": {"height": 16, "width": 16},
            "store": {"dir": str(tmp_path / "pixels")},
        }
    )
    (tmp_path / "run.toml").write_text(config.to_toml())
    dataset = load_dataset(spark, str(faces), str(labels))
    reading = decode_images(dataset, config, Progress())
    (faces / "3.png").unlink()

    during = prepare(tmp_path)

    assert "9 images, 0 decoded now, 9 before" in during
    assert "0 unused parts removed" in during
    assert sorted(row.id for row in reading.images.good.select("id", "pixels").collect()) == [
        *range(10)
    ]
    reading.release()
    assert "1 unused parts removed" in prepare(tmp_path)
