"""Tests for glasses_spark.datasets.drawn.face."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from glasses_spark.datasets.drawn.canvas import Image
from glasses_spark.datasets.drawn.face import draw_face
from glasses_spark.errors import ConfigError


def face(index: int, label: float | None, *, size: int = 128, seed: int = 0) -> Image:
    return draw_face(index, label, size=size, seed=seed)


def test_a_face_depends_only_on_seed_index_and_label() -> None:
    first = face(5, 1.0)

    np.random.seed(9)  # the state of NumPy does not matter
    face(6, 0.0)

    assert np.array_equal(face(5, 1.0), first)
    assert not np.array_equal(face(5, 1.0, seed=1), first)
    assert not np.array_equal(face(6, 1.0), first)
    assert not np.array_equal(face(5, 0.0), first)


@pytest.mark.parametrize("index", range(1, 41))
def test_the_label_changes_only_the_glasses(index: int) -> None:
    changed = (face(index, 1.0) != face(index, 0.0)).any(axis=2)

    rows, columns = np.nonzero(changed)
    # The eyes are at 0.39 to 0.50 of the height; a lens adds 0.12, a tilt 0.05.
    assert rows.min() > 0.22 * 128
    assert rows.max() < 0.68 * 128
    assert columns.min() > 0.1 * 128
    assert columns.max() < 0.9 * 128
    assert 0.01 < changed.mean() < 0.2


def test_an_undefined_face_differs_from_both_others() -> None:
    for index in range(1, 13):
        ambiguous = face(index, None)
        assert not np.array_equal(ambiguous, face(index, 0.0))
        assert not np.array_equal(ambiguous, face(index, 1.0))
        assert np.array_equal(ambiguous, face(index, math.nan))


@pytest.mark.parametrize("size", [64, 100, 700, 1024])
def test_every_size_shows_the_same_face(size: int) -> None:
    drawn = face(7, 1.0, size=size)

    assert drawn.shape == (size, size, 3)
    assert drawn.dtype == np.uint8
    small = cv2.resize(drawn, (64, 64), interpolation=cv2.INTER_AREA).astype(float)
    default = cv2.resize(face(7, 1.0, size=256), (64, 64), interpolation=cv2.INTER_AREA)
    different = cv2.resize(face(8, 1.0, size=256), (64, 64), interpolation=cv2.INTER_AREA)
    assert np.abs(small - default).mean() < 6 < 20 < np.abs(small - different).mean()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 63}, "size is 63 px: expected 64 to 1024"),
        ({"size": 1025}, "size is 1025 px: expected 64 to 1024"),
        ({"seed": -1}, "seed is -1"),
        ({"index": -2}, "index -2"),
        ({"label": 2.0}, "label is 2.0: expected 0.0, 1.0, or None"),
    ],
)
def test_arguments_out_of_range_are_an_error(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        draw_face(**{"index": 1, "label": 1.0, "size": 64, "seed": 0, **arguments})  # type: ignore[arg-type]
