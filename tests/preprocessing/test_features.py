"""Tests for glasses_spark.preprocessing.features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pyspark.ml.linalg import DenseVector
from pyspark.sql import SparkSession

from glasses_spark.errors import ConfigError
from glasses_spark.preprocessing.decoding.decode import decode
from glasses_spark.preprocessing.features import pixels_to_features, to_features
from tests.faces import noise_png
from tests.preprocessing.frames import PIXELS_SCHEMA, load_images


@pytest.mark.slow
def test_features_are_pixels_divided_by_255_and_other_columns_stay(
    spark: SparkSession, tmp_path: Path
) -> None:
    files = {"1.png": noise_png(seed=1), "2.png": b"text", "3.png": noise_png(seed=3)}

    features = to_features(load_images(spark, tmp_path, files), height=6, width=9)

    assert [f"{name} {kind}" for name, kind in features.dtypes] == [
        "path string",
        "modificationTime timestamp",
        "length bigint",
        "content binary",
        "id int",
        "label double",
        "features vector",
    ]
    rows = {row["id"]: row for row in features.collect()}
    assert rows[2]["features"] is None
    for number in (1, 3):
        content = files[f"{number}.png"]
        assert bytes(rows[number]["content"]) == content
        assert isinstance(rows[number]["features"], DenseVector)
        np.testing.assert_array_equal(
            rows[number]["features"].toArray(), decode(content, 6, 9).ravel() / 255.0
        )


def test_features_decode_each_image_once(
    spark: SparkSession, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = load_images(spark, tmp_path, {"1.png": noise_png()})

    to_features(frame).explain()

    plan = capsys.readouterr().out
    assert plan.count("ArrowEvalPython [scaled(") == 1
    assert plan.count("scaled(") == 1


def test_pixels_are_converted_to_features(spark: SparkSession) -> None:
    rows = [("a", 1, 0.0, bytes([0, 51, 255]), None), ("b", 2, 0.0, None, "empty file")]
    frame = spark.createDataFrame(rows, PIXELS_SCHEMA)

    features = pixels_to_features(frame)

    assert features.columns == [*frame.columns, "features"]
    assert [row["features"] for row in features.orderBy("id").collect()] == [
        DenseVector([0.0, 0.2, 1.0]),
        None,
    ]


@pytest.mark.slow
def test_empty_partitions_have_no_features(spark: SparkSession, tmp_path: Path) -> None:
    frame = load_images(spark, tmp_path, {"1.png": noise_png(), "2.png": noise_png()})

    assert to_features(frame.repartition(5)).where("features IS NOT NULL").count() == 2


@pytest.mark.parametrize(("height", "width", "key"), [(0, 8, "height"), (8, -1, "width")])
def test_a_size_below_one_is_an_error(
    spark: SparkSession, height: int, width: int, key: str
) -> None:
    with pytest.raises(ConfigError, match=rf"image\.{key} is"):
        to_features(spark.range(0), height=height, width=width)
