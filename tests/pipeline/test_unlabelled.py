"""Tests for glasses_spark.pipeline.unlabelled."""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import SparkSession

from glasses_spark.config.config import Config
from glasses_spark.pipeline.unlabelled import decode_unlabelled
from tests.faces import noise_png, write_faces


def test_files_and_folders_are_decoded_except_broken_ones(
    spark: SparkSession, tmp_path: Path
) -> None:
    config = Config.from_dict({"image": {"height": 16, "width": 16}})
    folder = write_faces(tmp_path / "photos", {"a.png": noise_png(), "b.png": b"broken"})
    single = write_faces(tmp_path, {"me.png": noise_png(seed=1)}) / "me.png"

    rows = decode_unlabelled(spark, [str(folder), str(single)], config).collect()

    assert sorted(Path(row.path).name for row in rows) == ["a.png", "me.png"]
    assert {(row.id, row.label, len(row.pixels)) for row in rows} == {(None, None, 256)}
