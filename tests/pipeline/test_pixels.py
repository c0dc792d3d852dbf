"""Tests for glasses_spark.pipeline.pixels."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from glasses_spark.config.config import Config
from glasses_spark.errors import DataError, ImagesError
from glasses_spark.loading.account import Account
from glasses_spark.loading.dataset import Dataset, load_dataset
from glasses_spark.pipeline.pixels import (
    DecodedPixels,
    cluster_images,
    data_counts,
    decode_images,
    open_store,
    require_all_parts,
)
from glasses_spark.preprocessing.quarantine import QuarantinedImage
from glasses_spark.preprocessing.split import split_column
from glasses_spark.runtime.progress import Progress
from tests.faces import noise_png, write_faces, write_labels


def configure(folder: Path, files: Mapping[str, bytes], **sections: Any) -> Config:
    """Write images, labelled by whether their number is odd, and configure a run on them."""
    images = write_faces(folder / "faces", dict(files))
    numbers = [int(name.removesuffix(".png")) for name in files]
    labels = write_labels(folder / "labels.csv", {n: float(n % 2) for n in numbers})
    return Config.from_dict(
        {
            "data": {"images": str(images), "labels": str(labels), **sections.pop("data", {})},
            "image": {"height": 16, "width": 16},
            "store": {"dir": ""},
            **sections,
        }
    )


def load(spark: SparkSession, config: Config) -> Dataset:
    return load_dataset(spark, config.data.images, config.data.labels)


def preprocess(spark: SparkSession, config: Config) -> DecodedPixels:
    dataset = load(spark, config)
    pixels = decode_images(dataset, config, Progress())
    return cluster_images(dataset, pixels, config, Progress())


def persisted(spark: SparkSession) -> int:
    return int(spark.sparkContext._jsc.getPersistentRDDs().size())


def test_images_are_decoded_and_bad_ones_quarantined(spark: SparkSession, tmp_path: Path) -> None:
    files = {f"{number}.png": noise_png(seed=number) for number in range(4)} | {"4.png": b"broken"}
    config = configure(tmp_path, files, data={"max_bad_fraction": 0.5})

    pixels = preprocess(spark, config)

    assert (pixels.decoded, pixels.reused) == (5, 0)
    assert (pixels.counts.images, pixels.counts.bad) == (5, 1)
    assert [image.id for image in pixels.images.quarantine] == [4]
    assert sorted(row.id for row in pixels.images.good.select("id").collect()) == [0, 1, 2, 3]
    assert "cluster" in pixels.images.good.columns
    pixels.unpersist()
    assert not pixels.frame.storageLevel.useMemory


def test_a_bad_image_ends_the_run_where_it_is_configured_so(
    spark: SparkSession, tmp_path: Path
) -> None:
    files = {"1.png": noise_png(), "2.png": b"broken"}
    config = configure(tmp_path, files, data={"on_bad": "fail"})
    before = persisted(spark)

    with pytest.raises(ImagesError, match=r'^data\.on_bad is "fail": '):
        decode_images(load(spark, config), config, Progress())

    assert persisted(spark) == before


def test_near_duplicates_are_not_searched_for_where_they_are_ignored(
    spark: SparkSession, tmp_path: Path
) -> None:
    files = {f"{number}.png": noise_png(seed=1) for number in range(2)}
    config = configure(tmp_path, files, split={"near_duplicates": "ignore"})
    pixels = preprocess(spark, config)
    assert pixels.duplicates is None
    assert "cluster" not in pixels.images.good.columns
    pixels.unpersist()


@pytest.mark.slow
def test_a_part_whose_images_have_moved_to_the_part_of_their_cluster_is_refused(
    spark: SparkSession, tmp_path: Path
) -> None:
    ids = list(range(30))
    part = split_column(test=0.2, seed=0)
    frame = spark.createDataFrame([(number,) for number in ids], "id int")
    parts = {row["id"]: row["part"] for row in frame.select("id", part.alias("part")).collect()}
    train = [number for number in ids if parts[number] == "train"]
    # The only image of the test set is a copy of a training image.
    copy = next(number for number in ids if parts[number] == "test" and number > min(train))
    files = {f"{number}.png": noise_png(64, 64, seed=number) for number in train}
    files[f"{copy}.png"] = files[f"{min(train)}.png"]
    config = configure(tmp_path, files)

    pixels = preprocess(spark, config)

    with pytest.raises(DataError, match=f"test set is empty: found {len(files)} im"):
        require_all_parts(pixels, config)
    pixels.unpersist()


def test_a_store_is_opened_where_one_is_configured(spark: SparkSession, tmp_path: Path) -> None:
    def configured(folder: str) -> Config:
        return Config.from_dict({"store": {"dir": folder}})

    assert open_store(spark, configured("")) is None
    store = open_store(spark, configured(str(tmp_path / "pixels")))
    assert store is not None
    assert store.folder.startswith(f"file:{tmp_path}/pixels")


def test_images_are_counted_as_in_metrics_json() -> None:
    account = Account(
        images=10,
        labels=9,
        used=6,
        undefined_label=1,
        unlabelled=2,
        unnumbered=1,
        beyond_limit=1,
        label_without_image=3,
    )
    quarantine = [QuarantinedImage(path="a.png", id=1, reason="broken")]
    assert data_counts(account, quarantine) == {
        "images": 10,
        "used": 5,
        "undefined_label": 1,
        "unlabelled": 2,
        "label_without_image": 3,
        "quarantined": 1,
        "beyond_limit": 1,
    }


def test_the_number_of_images_is_reported(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "glasses_spark")
    config = configure(tmp_path, {f"{number}.png": noise_png(seed=number) for number in range(2)})
    decode_images(load(spark, config), config, Progress()).unpersist()
    assert "Decoding 2 images" in caplog.text
