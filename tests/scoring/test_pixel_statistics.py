"""Tests for glasses_spark.scoring.pixel_statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from glasses_spark.datasets.drawn.face import draw_face
from glasses_spark.scoring.pixel_statistics import (
    LEAST_ROWS,
    MEASURES,
    ROW,
    PixelStatistics,
    measure_pixels,
    summarize,
)

Pictures = Sequence[NDArray[np.uint8]]


def simple_face(seed: int) -> NDArray[np.uint8]:
    """Two dark eyes, high in a bright head on a grey ground."""
    generator = np.random.default_rng(seed)
    picture = np.full((32, 32), 110, np.uint8)
    x, y = generator.integers(-1, 2, 2).tolist()
    cv2.circle(picture, (16 + x, 16 + y), 12, int(generator.integers(170, 210)), -1)
    for side in (-5, 5):
        cv2.circle(picture, (16 + x + side, 11 + y), 2, int(generator.integers(20, 60)), -1)
    noisy = picture + generator.normal(0, 3, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def statistics_of(pictures: Pictures) -> PixelStatistics:
    found = summarize(np.array([measure_pixels(picture) for picture in pictures]))
    assert found is not None
    return found


@pytest.fixture(scope="module")
def statistics() -> PixelStatistics:
    return statistics_of([simple_face(seed) for seed in range(1000)])


def test_most_pictures_like_those_of_the_training_get_no_warning(
    statistics: PixelStatistics,
) -> None:
    flagged = [statistics.warning(simple_face(seed)) for seed in range(1000, 2000)]
    assert sum(warning is not None for warning in flagged) <= 20
    assert statistics.rows == 1000


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda face: (face * 0.3).astype(np.uint8), "darker, lower in contrast"),
        (lambda face: np.clip(face.astype(int) + 90, 0, 255).astype(np.uint8), "brighter"),
        (lambda face: cv2.GaussianBlur(face, (0, 0), 2), "less sharp"),
        (lambda face: face[::-1], "more like an upside-down one than 99.95 % of them"),
        (lambda face: np.roll(face, 16, 1), "less like their mean in outline"),
        (lambda face: np.zeros_like(face), "unlike the training pictures: darker, lower in"),
    ],
    ids=["dark", "bright", "blurred", "upside down", "aside", "black"],
)
def test_a_warning_says_how_a_picture_differs(
    statistics: PixelStatistics, change: Any, words: str
) -> None:
    warning = statistics.warning(np.ascontiguousarray(change(simple_face(7))))
    assert warning is not None
    assert words in warning


def test_noise_is_sharper(statistics: PixelStatistics) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (32, 32), np.uint8)
    assert "sharper or noisier" in (statistics.warning(noise) or "")


def test_statistics_are_the_same_after_json(statistics: PixelStatistics) -> None:
    assert PixelStatistics.from_dict(statistics.as_dict()) == statistics
    assert set(statistics.bounds) == set(MEASURES)


@pytest.mark.parametrize(
    "change",
    [
        {"rows": "many"},
        {"outline": "00"},
        {"outline": "no digits"},
        {"bounds": {}},
        {"bounds": {name: [float("nan"), 1.0] for name in MEASURES}},
        {"bounds": {name: 3 for name in MEASURES}},
    ],
)
def test_other_statistics_are_refused(
    statistics: PixelStatistics, change: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match="training_pixels"):
        PixelStatistics.from_dict(statistics.as_dict() | change)
    with pytest.raises(ValueError, match="training_pixels"):
        PixelStatistics.from_dict([])


def test_few_pictures_have_no_statistics() -> None:
    assert summarize(np.zeros((LEAST_ROWS - 1, ROW), np.float32)) is None
    # Pictures that are all the same are not an error.
    same = statistics_of([simple_face(1)] * LEAST_ROWS)
    assert same.warning(simple_face(1)) is None
    assert replace(same, rows=1).warning(simple_face(2)) is not None


@pytest.mark.slow
def test_drawn_faces_and_other_pictures() -> None:
    def drawn(index: int) -> NDArray[np.uint8]:
        face = draw_face(index, float(index % 2), size=128, seed=8)
        return np.asarray(cv2.cvtColor(face, cv2.COLOR_RGB2GRAY))

    faces = [drawn(index) for index in range(1000)]
    statistics = statistics_of(faces[:700])

    def share(pictures: Pictures) -> float:
        return sum(statistics.warning(picture) is not None for picture in pictures) / len(pictures)

    held_out = faces[700:]
    # With 700 rows the bounds are the second most extreme values.
    assert share(held_out) <= 0.03
    assert share([np.asarray(cv2.bitwise_not(face)) for face in held_out]) >= 0.8
    assert share([np.ascontiguousarray(face[::-1]) for face in held_out]) >= 0.9
    assert share([np.roll(face, 64, 1) for face in held_out]) >= 0.9
    generator = np.random.default_rng(0)
    assert share([generator.integers(0, 256, (128, 128), np.uint8) for _ in range(20)]) == 1
