"""Tests for glasses_spark.pipeline.unlabelled."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from glasses_spark.config.config import Config
from glasses_spark.errors import ImagesError
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


def test_every_file_is_predicted_or_quarantined_with_a_reason(
    spark: SparkSession, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "glasses_spark")
    config = Config.from_dict({"image": {"height": 16, "width": 16}})
    contents = {"a.png": noise_png(), "empty.png": b"", "b\x1b[2J.png": b"broken"}
    folder = os.fsencode(write_faces(tmp_path / "photos", contents))
    single = os.fsencode(tmp_path) + b"/me-\xff.png"
    for path in (folder + b"/caf\xe9.png", single):
        with open(path, "wb") as file:
            file.write(noise_png())

    rows = decode_unlabelled(spark, [os.fsdecode(folder), os.fsdecode(single)], config).collect()

    assert [Path(row.path).name for row in rows] == ["a.png"]
    assert (
        "Account of 5 files: 1 predicted, 4 quarantined (1 empty, 1 not_png, 2 name_not_utf8)"
    ) in caplog.text
    assert r"caf\xe9.png" in caplog.text
    assert "\x1b" not in caplog.text


def test_images_of_which_none_can_be_used_are_an_error_that_names_them(
    spark: SparkSession, tmp_path: Path
) -> None:
    single = os.fsencode(tmp_path) + b"/me-\xff.png"
    with open(single, "wb") as file:
        file.write(noise_png())

    with pytest.raises(ImagesError, match=r"none of the 1 images can be used: .*me-\\xff\.png"):
        decode_unlabelled(spark, [os.fsdecode(single)], Config())
    with pytest.raises(ImagesError, match="no image file found"):
        decode_unlabelled(spark, [str(write_faces(tmp_path / "none", ["a.txt"]))], Config())
