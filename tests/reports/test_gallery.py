"""Tests for glasses_spark.reports.gallery and glasses_spark.evaluation.digest."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from glasses_spark.preprocessing.digest import data_digest
from glasses_spark.reports.gallery import choose_faces, png, with_evidence

# Label and probability of each image, by id from 1.
IMAGES = [
    (1.0, 0.99),
    (1.0, 0.02),  # wrong, and very sure
    (0.0, 0.60),  # wrong
    (1.0, 0.55),  # right, hardly
    (0.0, 0.98),  # wrong, and as sure as image 2
    (0.0, 0.01),
]


@pytest.fixture(scope="module")
def predictions(spark: SparkSession) -> DataFrame:
    rows = [
        (number, f"file:/faces/{number}.png", label, [p], float(p >= 0.5))
        for number, (label, p) in enumerate(IMAGES, start=1)
    ]
    schema = "id INT, path STRING, label DOUBLE, prediction ARRAY<DOUBLE>, predicted_label DOUBLE"
    return spark.createDataFrame(rows, schema).repartition(2)


@pytest.fixture(scope="module")
def pixels(spark: SparkSession) -> DataFrame:
    rows = [
        (number, label, bytes([number] * 12)) for number, (label, _) in enumerate(IMAGES, start=1)
    ]
    return spark.createDataFrame(rows, "id INT, label DOUBLE, pixels BINARY")


def test_the_surest_mistakes_and_the_closest_calls_are_chosen(
    predictions: DataFrame, pixels: DataFrame
) -> None:
    gallery = choose_faces(predictions, pixels, height=3, width=4, count=2)

    # Equals go by their number.
    assert [face.id for face in gallery.mistakes] == [2, 5]
    assert [face.id for face in gallery.uncertain] == [4, 3]
    worst = gallery.mistakes[0]
    assert (worst.path, worst.label, worst.predicted_label, worst.probability) == (
        "file:/faces/2.png",
        1.0,
        0.0,
        0.02,
    )
    assert np.array_equal(worst.picture, np.full((3, 4), 2, np.uint8))
    assert worst.evidence is None


def test_without_mistakes_there_are_the_closest_calls_alone(
    predictions: DataFrame, pixels: DataFrame
) -> None:
    right = predictions.where("label = predicted_label")
    gallery = choose_faces(right, pixels, height=3, width=4)
    assert gallery.mistakes == ()
    assert [face.id for face in gallery.uncertain] == [4, 1, 6]


def test_evidence_is_found_once_for_a_face_in_both_rows(
    predictions: DataFrame, pixels: DataFrame
) -> None:
    gallery = choose_faces(predictions, pixels, height=3, width=4)
    asked: list[int] = []

    def score(
        pictures: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        asked.append(int(pictures[0, 0, 0]))
        return np.asarray(pictures.mean(axis=(1, 2), dtype=np.float64))

    seen = with_evidence(gallery, score)
    assert len(asked) == len(set(asked)) == len(IMAGES)
    assert all(face.evidence is not None for face in (*seen.mistakes, *seen.uncertain))
    assert [face.id for face in seen.uncertain] == [face.id for face in gallery.uncertain]


def test_a_picture_comes_back_from_its_png_as_it_was() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    back = cv2.imdecode(np.frombuffer(png(grey), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(back, grey)

    colour = np.zeros((1, 2, 4), np.uint8)
    colour[0] = [[1, 2, 3, 4], [5, 6, 7, 8]]
    back = cv2.imdecode(np.frombuffer(png(colour), np.uint8), cv2.IMREAD_UNCHANGED)
    assert back[0].tolist() == [[3, 2, 1, 4], [7, 6, 5, 8]]


def test_the_digest_changes_with_any_image_or_label_and_not_with_their_order(
    pixels: DataFrame,
) -> None:
    digest = data_digest(pixels)
    assert len(bytes.fromhex(digest)) == 8
    assert data_digest(pixels.repartition(2).orderBy("label")) == digest
    changed = [
        pixels.where("id > 1"),
        pixels.selectExpr("id", "if(id = 3, 1 - label, label) AS label", "pixels"),
        pixels.selectExpr("id", "label", "if(id = 3, unhex('00'), pixels) AS pixels"),
        pixels.selectExpr("id + 1 AS id", "label", "pixels"),
    ]
    assert len({digest, *map(data_digest, changed)}) == 1 + len(changed)
