"""Tests for glasses_spark.reports.gallery."""

from __future__ import annotations

import numpy as np
import pytest
from pyspark.sql import DataFrame, SparkSession

from glasses_spark.reports.gallery import Gallery, choose_faces, with_evidence

# Label and probability of each image, by id from 1.
IMAGES = [
    (1.0, 0.99),
    (1.0, 0.02),  # wrong and confident
    (0.0, 0.60),  # wrong
    (1.0, 0.55),  # correct and uncertain
    (0.0, 0.98),  # wrong and as confident as image 2
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


def gallery_of(predictions: DataFrame, *, rows: int = len(IMAGES), count: int = 12) -> Gallery:
    pixels = {number: bytes([number] * 12) for number in range(1, len(IMAGES) + 1)}
    return choose_faces(predictions, rows=rows, count=count).gallery(pixels, height=3, width=4)


# Few rows are sorted in the driver, many in Spark.
@pytest.mark.parametrize("rows", [len(IMAGES), 1_000_000])
def test_the_most_confident_errors_and_the_least_certain_images_are_selected(
    predictions: DataFrame, rows: int
) -> None:
    choice = choose_faces(predictions, rows=rows, count=2)
    assert choice.ids == {2, 3, 4, 5}
    gallery = gallery_of(predictions, rows=rows, count=2)

    # Ties are ordered by id.
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


@pytest.mark.parametrize("rows", [len(IMAGES), 1_000_000])
def test_without_errors_only_uncertain_images_are_selected(
    predictions: DataFrame, rows: int
) -> None:
    correct = predictions.where("label = predicted_label")
    gallery = gallery_of(correct, rows=rows)
    assert gallery.mistakes == ()
    assert [face.id for face in gallery.uncertain] == [4, 1, 6]


def test_the_map_of_a_face_of_both_kinds_is_computed_once(predictions: DataFrame) -> None:
    gallery = gallery_of(predictions)
    scored: list[int] = []

    def score(
        pictures: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        scored.append(int(pictures[0, 0, 0]))
        return np.asarray(pictures.mean(axis=(1, 2), dtype=np.float64))

    mapped = with_evidence(gallery, score)
    assert len(scored) == len(set(scored)) == len(IMAGES)
    assert all(face.evidence is not None for face in (*mapped.mistakes, *mapped.uncertain))
    assert [face.id for face in mapped.uncertain] == [face.id for face in gallery.uncertain]
