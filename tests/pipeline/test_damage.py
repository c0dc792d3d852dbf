"""Tests for glasses_spark.pipeline.damage."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from glasses_spark.config.config import Config
from glasses_spark.errors import DataError
from glasses_spark.pipeline.pipeline import GlassesPipeline
from tests.faces import noise_png, write_faces, write_labels
from tests.preprocessing.store.test_damage import shorten_the_pixels


@pytest.mark.slow
def test_a_run_names_the_damaged_file_and_the_next_one_decodes_it_again(
    spark: SparkSession, tmp_path: Path
) -> None:
    faces = write_faces(tmp_path / "faces", {f"{n}.png": noise_png(seed=n) for n in range(8)})
    labels = write_labels(tmp_path / "labels.csv", {n: float(n % 2) for n in range(8)})
    config = Config.from_dict(
        {
            "data": {"images": str(faces), "labels": str(labels)},
            "image": {"height": 16, "width": 16},
            "store": {"dir": str(tmp_path / "pixels")},
        }
    )
    pipeline = GlassesPipeline(config)
    pipeline.preprocess(pipeline.load(spark))
    part = next((tmp_path / "pixels").glob("*/base-*/part-*"))
    shorten_the_pixels(part)
    part.with_name(f".{part.name}.crc").unlink()

    with pytest.raises(DataError, match=f"{part}: this part of the pixel store is damaged. Run"):
        pipeline.preprocess(pipeline.load(spark))

    prepared = pipeline.prepare(spark, verify=True, vacuum=True)
    assert (prepared.decoded, prepared.damaged) == (8, ())
    assert pipeline.preprocess(pipeline.load(spark)).good.count() == 8
