"""Tests for glasses_spark.preprocessing.duplicates.perceptual_hash."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from glasses_spark.datasets.drawn.face import draw_face
from glasses_spark.preprocessing.duplicates.perceptual_hash import (
    BITS,
    DISTANCE,
    band_keys,
    distances,
    hash_pixels,
    near_pairs,
)

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def faces() -> Pixels:
    """60 drawn faces, half of them with glasses, as the pipeline has them."""
    drawn = [draw_face(number, float(number % 2), size=128, seed=0) for number in range(60)]
    return np.stack([cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) for face in drawn])


def rescaled(face: Pixels) -> Any:
    small = cv2.resize(face, (96, 96), interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (128, 128), interpolation=cv2.INTER_LINEAR)


def compressed(face: Pixels) -> Any:
    _, content = cv2.imencode(".jpg", face, [cv2.IMWRITE_JPEG_QUALITY, 60])
    return cv2.imdecode(content, cv2.IMREAD_GRAYSCALE)


def lighter(face: Pixels) -> Any:
    return np.clip(face * 1.1, 0, 255).astype(np.uint8)


def darker(face: Pixels) -> Any:
    return (face * 0.9).astype(np.uint8)


def moved(face: Pixels) -> Any:
    shift = np.array([[1, 0, 1], [0, 1, 0]], np.float32)
    return cv2.warpAffine(face, shift, (128, 128), borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize("alter", [rescaled, compressed, lighter, darker, moved])
def test_an_altered_copy_is_near_its_original(faces: Pixels, alter: Any) -> None:
    altered = np.stack([alter(face) for face in faces])

    assert (distances(hash_pixels(faces), hash_pixels(altered)) <= DISTANCE).all()


def test_different_faces_of_one_pose_are_not_near(faces: Pixels) -> None:
    hashes = hash_pixels(faces)
    one, other = np.triu_indices(len(faces), 1)

    assert distances(hashes[one], hashes[other]).min() > DISTANCE
    assert not len(near_pairs(hashes))


def test_the_pairs_are_those_of_comparing_each_with_each(faces: Pixels) -> None:
    # Copies of copies, each further away: at distances from 0 far beyond the limit.
    rng = np.random.default_rng(0)
    noisy = [
        np.clip(faces + rng.normal(0, noise, faces.shape), 0, 255).astype(np.uint8)
        for noise in (0, 4, 8, 16, 24)
    ]
    hashes = np.unique(hash_pixels(np.concatenate(noisy)), axis=0)
    one, other = np.triu_indices(len(hashes), 1)
    apart = distances(hashes[one], hashes[other])
    near = apart <= DISTANCE

    assert (apart == DISTANCE).any()
    assert (apart == DISTANCE + 1).any()
    expected = np.stack([one[near], other[near]], axis=1)
    assert np.array_equal(near_pairs(hashes), expected)


def test_any_two_hashes_that_are_near_share_a_key() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (500, BITS), dtype=np.uint8)
    other = bits.copy()
    for row in other:
        row[rng.choice(BITS, DISTANCE, replace=False)] ^= 1
    keys = [band_keys(words(rows)) for rows in (bits, other)]

    assert (distances(words(bits), words(other)) == DISTANCE).all()
    assert (keys[0] == keys[1]).any(axis=1).all()


def words(bits: Pixels) -> NDArray[np.int64]:
    padded = np.zeros((len(bits), 256), np.uint8)
    padded[:, :BITS] = bits
    return np.packbits(padded, axis=1, bitorder="little").view(np.int64)


@pytest.mark.parametrize("size", [(128, 128), (32, 32), (16, 20), (150, 90)])
def test_a_hash_says_where_it_gets_brighter(size: tuple[int, int]) -> None:
    width = size[1]
    ramp = np.broadcast_to(np.linspace(0, 255, width), size).astype(np.uint8)
    flat = np.full(size, 200, np.uint8)
    found = hash_pixels(np.stack([ramp, ramp[:, ::-1], flat]))

    bits = np.unpackbits(found.view(np.uint8), axis=1, bitorder="little")
    assert bits[0, :100].all()
    assert not bits[0, 100:].any()  # brighter to the right, and not downwards
    assert not bits[1:].any()


def test_no_images_and_one_have_no_pairs() -> None:
    assert near_pairs(np.zeros((0, 4), np.int64)).shape == (0, 2)
    assert near_pairs(np.zeros((1, 4), np.int64)).shape == (0, 2)
