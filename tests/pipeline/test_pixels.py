"""Tests for glasses_spark.pipeline.pixels."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from glasses_spark.config.config import Config
from glasses_spark.errors import DataError, ImagesError
from glasses_spark.loading.dataset import Dataset, load_dataset
from glasses_spark.pipeline.pixels import (
    DecodedPixels,
    cluster_images,
    data_counts,
    decode_images,
    open_store,
    require_all_parts,
)
from glasses_spark.preprocessing.quarantine import reason_counts
from glasses_spark.preprocessing.split import split_column
from glasses_spark.reasons import Reason
from glasses_spark.runtime.progress import Progress
from tests.faces import animated_png, any_png, noise_png, write_faces, write_labels


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


def test_every_file_is_in_one_part_of_the_account(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "glasses_spark")
    images = {f"{n}.png": noise_png(seed=n) for n in range(20)}
    config = configure(tmp_path, images, data={"max_bad_fraction": 0.5})
    others = {
        "20.png": b"",
        "21.png": b"text",
        "22.png": animated_png(any_png(9, 9, depth=16)),
        "undefined-23.png": noise_png(),
        "unlabelled-99.png": noise_png(),
        "none.png": noise_png(),
        "Gesicht \N{WHITE SMILING FACE}-24.png": noise_png(),
        ".hidden-25.png": noise_png(),
    }
    folder = write_faces(tmp_path / "faces", others)
    write_labels(tmp_path / "labels.csv", {n: "" if n == 23 else float(n % 2) for n in range(25)})
    for name in (b"caf\xe9-3.png", b"sub-\xff/26.png"):
        path = os.fsencode(folder) + b"/" + name
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(noise_png())
    dataset = load_dataset(spark, config.data.images, config.data.labels, limit=23)

    pixels = decode_images(dataset, config, Progress())
    data = data_counts(dataset, pixels, config)
    pixels.unpersist()

    assert data["images"] == 29
    assert data["train"] + data["test"] == data["used"]
    left_out = ("undefined_label", "unlabelled", "quarantined", "beyond_limit")
    assert data["used"] + sum(data[name] for name in left_out) == data["images"]
    assert (data["undefined_label"], data["unlabelled"], data["beyond_limit"]) == (1, 2, 1)
    quarantine = {image.path: image for image in pixels.images.quarantine}
    assert set(quarantine) >= {f"{folder}/caf\\xe9-3.png", f"{folder}/sub-\\xff/26.png"}
    assert {image.reason for image in quarantine.values()} <= set(Reason)
    assert reason_counts(list(quarantine.values()))["name_not_utf8"] == 2
    assert "Account of 29 files: " in caplog.text
    assert "name_not_utf8" in caplog.text


def test_a_listed_file_that_spark_does_not_read_is_quarantined(
    spark: SparkSession, tmp_path: Path
) -> None:
    files = {f"{number}.png": noise_png(seed=number) for number in range(6)}
    config = configure(tmp_path, files, data={"max_bad_fraction": 0.5})
    # As on another file system than a disk, where Spark reads the content.
    dataset = dataclasses.replace(load(spark, config), on_disk=False)
    (tmp_path / "faces" / "3.png").unlink()
    spark.conf.set("spark.sql.files.ignoreMissingFiles", "true")
    try:
        pixels = decode_images(dataset, config, Progress())
        data = data_counts(dataset, pixels, config)
        pixels.unpersist()
    finally:
        spark.conf.unset("spark.sql.files.ignoreMissingFiles")

    (image,) = pixels.images.quarantine
    assert (image.path, image.id, image.reason) == (f"file:{tmp_path}/faces/3.png", 3, "not_read")
    assert (data["images"], data["used"], data["quarantined"]) == (6, 5, 1)


def test_a_sum_that_differs_from_the_listing_is_an_error(
    spark: SparkSession, tmp_path: Path
) -> None:
    config = configure(tmp_path, {f"{number}.png": noise_png() for number in range(4)})
    dataset = load(spark, config)
    pixels = decode_images(dataset, config, Progress())
    wrong = dataclasses.replace(dataset, account=dataclasses.replace(dataset.account, images=5))

    with pytest.raises(DataError, match=r"the account has 4 files \(.*\), the listing of .* 5"):
        data_counts(wrong, pixels, config)
    pixels.unpersist()


def test_the_number_of_images_is_reported(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "glasses_spark")
    config = configure(tmp_path, {f"{number}.png": noise_png(seed=number) for number in range(2)})
    decode_images(load(spark, config), config, Progress()).unpersist()
    assert "Decoding 2 images" in caplog.text
