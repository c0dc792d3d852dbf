"""Tests for glasses_spark.reports.pictures."""

from __future__ import annotations

import base64

import cv2
import numpy as np
from pyspark.sql import SparkSession

from glasses_spark.reports.pictures import data_uri, pictures_by_id, png


def test_png_encoding_is_lossless() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    decoded = cv2.imdecode(np.frombuffer(png(grey), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(decoded, grey)

    colour = np.zeros((1, 2, 4), np.uint8)
    colour[0] = [[1, 2, 3, 4], [5, 6, 7, 8]]
    decoded = cv2.imdecode(np.frombuffer(png(colour), np.uint8), cv2.IMREAD_UNCHANGED)
    assert decoded[0].tolist() == [[3, 2, 1, 4], [7, 6, 5, 8]]


def test_a_data_uri_contains_the_png_file() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)

    head, _, content = data_uri(grey).partition(",")

    assert head == "data:image/png;base64"
    assert base64.b64decode(content) == png(grey)


def test_only_the_requested_pictures_are_collected(spark: SparkSession) -> None:
    rows = [(number, bytes([number] * 6)) for number in (1, 2, 3)]
    pixels = spark.createDataFrame(rows, "id INT, pixels BINARY")

    pictures = pictures_by_id(pixels, {3, 1}, height=2, width=3)

    assert sorted(pictures) == [1, 3]
    assert pictures[3].tolist() == [[3, 3, 3], [3, 3, 3]]
