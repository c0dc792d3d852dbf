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


def start_prepare(folder: Path) -> subprocess.Popen[str]:
    """Run the command in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "glasses_spark", "prepare", "--config", "run.toml", "--vacuum"],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def output_of(process: subprocess.Popen[str]) -> str:
    output, _ = process.communicate()
    assert process.returncode == 0, output
    return output


def configure(folder: Path) -> Config:
    faces = write_faces(folder / "faces", [f"{n}.png" for n in range(10)])
    labels = write_labels(folder / "labels.csv", {n: float(n % 2) for n in range(10)})
    config = Config.from_dict(
        {
            "data": {"images": str(faces), "labels": str(labels)},
            "image": {"height": 16, "width": 16},
            "store": {"dir": str(folder / "pixels")},
        }
    )
    (folder / "run.toml").write_text(config.to_toml())
    return config


@pytest.mark.rotated
def test_a_run_keeps_its_pixels_while_another_process_replaces_them(
    spark: SparkSession, tmp_path: Path
) -> None:
    config = configure(tmp_path)
    dataset = load_dataset(spark, config.data.images, config.data.labels)
    reading = decode_images(dataset, config, Progress())
    (tmp_path / "faces" / "3.png").unlink()

    during = output_of(start_prepare(tmp_path))

    assert "9 images, 0 decoded now, 9 before" in during
    assert "0 unused parts removed" in during
    assert sorted(row.id for row in reading.images.good.select("id", "pixels").collect()) == [
        *range(10)
    ]
    reading.release()
    segments = tmp_path / "pixels"
    assert len(list(segments.glob("*/base-*"))) == 2
    output_of(start_prepare(tmp_path))  # the update itself removes what nobody uses any more
    assert len(list(segments.glob("*/base-*"))) == 1


@pytest.mark.rotated
def test_two_processes_that_fill_a_store_at_once_leave_it_whole(
    spark: SparkSession, tmp_path: Path
) -> None:
    config = configure(tmp_path)

    processes = [start_prepare(tmp_path) for _ in range(2)]
    for process in processes:
        assert "10 images, " in output_of(process)

    dataset = load_dataset(spark, config.data.images, config.data.labels)
    pixels = decode_images(dataset, config, Progress())
    assert (pixels.decoded, pixels.reused) == (0, 10)
    assert pixels.images.good.count() == 10
    pixels.release()
    assert len(list((tmp_path / "pixels").glob("*/base-*"))) == 1
