"""Tests for glasses_spark.scorer.alignment."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from glasses_spark.errors import DecodeError
from glasses_spark.scorer.alignment import Square, align, cut, is_aligned, square_around
from glasses_spark.scorer.face_detector import Face

# A picture of the published set: 1024 x 1024, eyes 256 pixels apart.
TIGHT = Face(centre=(512, 560), size=(600, 600), eyes=((384, 487), (640, 487)), mouth=(512, 737))


def moved(face: Face, *, scale: float, roll: float, x: float, y: float) -> Face:
    """The face in a larger picture: turned clockwise and scaled about the origin, then moved."""
    cos, sin = (scale * f(math.radians(roll)) for f in (math.cos, math.sin))

    def point(at: tuple[float, float]) -> tuple[float, float]:
        return cos * at[0] - sin * at[1] + x, sin * at[0] + cos * at[1] + y

    size = (face.size[0] * scale, face.size[1] * scale)
    first, second = face.eyes
    return Face(point(face.centre), size, (point(first), point(second)), point(face.mouth))


def test_the_square_around_a_face_of_the_published_set_is_its_picture() -> None:
    square = square_around(TIGHT)
    assert (square.x, square.y, square.side) == pytest.approx((512, 512, 1024))
    assert square.roll == pytest.approx(0)
    assert is_aligned(square, (1024, 1024))


def test_the_square_follows_a_face_that_is_moved_scaled_and_turned() -> None:
    square = square_around(moved(TIGHT, scale=0.25, roll=20, x=900, y=300))
    cos, sin = math.cos(math.radians(20)), math.sin(math.radians(20))
    centre = (128 * (cos - sin) + 900, 128 * (sin + cos) + 300)
    assert (square.x, square.y) == pytest.approx(centre)
    assert (square.side, square.roll) == pytest.approx((256, 20))
    assert not is_aligned(square, (1200, 1600))


@pytest.mark.parametrize(
    ("square", "aligned"),
    [
        (Square(50, 50, 100, 0), True),
        (Square(52, 47, 85, 8), True),  # as a drawn face
        (Square(50, 50, 60, 0), False),
        (Square(70, 50, 100, 0), False),
        (Square(50, 50, 100, 30), False),
    ],
    ids=["exact", "drawn", "small", "aside", "turned"],
)
def test_a_picture_with_the_margins_of_the_training_pictures_is_aligned(
    square: Square, aligned: bool
) -> None:
    assert is_aligned(square, (100, 100)) is aligned
    assert not is_aligned(square, (100, 200))


def test_a_cut_is_the_picture_of_the_face_again(smooth: NDArray[np.uint8]) -> None:
    for scale, roll in ((1.0, 0.0), (1.0, 30.0), (0.5, -20.0)):
        square = Square(x=400, y=300, side=256 * scale, roll=roll)
        # From the tight picture of 256 x 256 to the larger one.
        cos, sin = (scale * f(math.radians(roll)) for f in (math.cos, math.sin))
        matrix = np.array(
            [
                [cos, -sin, 399.5 - 127.5 * (cos - sin)],
                [sin, cos, 299.5 - 127.5 * (sin + cos)],
            ]
        )
        large = cv2.warpAffine(smooth, matrix, (800, 600), borderMode=cv2.BORDER_REPLICATE)
        found = cv2.resize(cut(large, square), (64, 64))
        difference = np.abs(found.astype(int) - cv2.resize(smooth, (64, 64)))
        assert difference.max() <= 6, (scale, roll)


def test_a_cut_beyond_the_picture_repeats_its_border_and_is_bounded() -> None:
    grey = np.full((3000, 2000), 77, np.uint8)
    found = cut(grey, Square(x=0, y=0, side=2900, roll=10))
    assert found.shape == (1024, 1024)
    assert np.all(found == 77)


def test_an_aligned_picture_is_only_resized(smooth: NDArray[np.uint8]) -> None:
    found = align(
        smooth,
        lambda _: [moved(TIGHT, scale=0.25, roll=3, x=4, y=-2)],
        height=32,
        width=32,
    )
    assert np.array_equal(found, cv2.resize(smooth, (32, 32)))


@pytest.mark.parametrize(
    ("faces", "message"),
    [
        ([], "no face found"),
        ([TIGHT] * 3, "3 faces found; crop the picture to one"),
        (
            [moved(TIGHT, scale=1, roll=-90, x=0, y=0)],
            "face turned by -90 degrees; turn the picture until it is upright",
        ),
    ],
    ids=["none", "several", "turned"],
)
def test_a_picture_without_one_upright_face_is_an_error(faces: list[Face], message: str) -> None:
    with pytest.raises(DecodeError, match=f"^{message}$"):
        align(np.zeros((1024, 1024), np.uint8), lambda _: faces, height=32, width=32)


@pytest.fixture
def smooth() -> NDArray[np.uint8]:
    """A picture of 256 x 256 whose neighbouring pixels differ little."""
    coarse = np.random.default_rng(1).integers(40, 216, (6, 6)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (256, 256), interpolation=cv2.INTER_LINEAR))
