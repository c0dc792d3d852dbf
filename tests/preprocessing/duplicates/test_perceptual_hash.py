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
    hash_pixels,
    near_pairs,
)

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module")
def faces() -> Pixels:
    """60 drawn faces as grey pixels, half of them with glasses."""
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
    first, second = np.triu_indices(len(faces), 1)

    assert distances(hashes[first], hashes[second]).min() > DISTANCE


def test_near_hashes_have_a_key_in_common() -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (500, BITS), dtype=np.uint8)
    altered = bits.copy()
    for row in altered:
        row[rng.choice(BITS, DISTANCE, replace=False)] ^= 1
    keys = [band_keys(words(rows)) for rows in (bits, altered)]

    assert (distances(words(bits), words(altered)) == DISTANCE).all()
    assert (keys[0] == keys[1]).any(axis=1).all()


@pytest.mark.parametrize("parts", [1, 4, 153])
def test_the_pairs_of_all_parts_are_those_of_a_comparison_of_all_pairs(parts: int) -> None:
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 2, (300, BITS), dtype=np.uint8)
    # Groups of ten that differ from the first in 1 to 18 bits, and so from each other in more.
    for number, row in enumerate(bits):
        if number % 10:
            row[:] = bits[number - number % 10]
            row[rng.choice(BITS, 2 * (number % 10), replace=False)] ^= 1
    hashes = words(bits)
    first, second = np.triu_indices(len(hashes), 1)
    is_near = distances(hashes[first], hashes[second]) <= DISTANCE

    found = np.concatenate([near_pairs(hashes, part, parts) for part in range(parts)])

    assert is_near.sum() > 300
    np.testing.assert_array_equal(
        np.unique(found, axis=0), np.stack([first, second], axis=1)[is_near]
    )


def test_equal_hashes_are_paired_with_the_first_of_them_only() -> None:
    equal, near = np.zeros((4, 4), np.int64), np.array([[1, 0, 0, 0]])
    far = np.full((1, 4), -1, np.int64)

    pairs = near_pairs(np.concatenate([far, equal, near]))

    assert sorted(map(tuple, pairs.tolist())) == [(1, 2), (1, 3), (1, 4), (1, 5)]


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_hashes_make_no_pair(count: int) -> None:
    assert near_pairs(np.zeros((count, 4), np.int64)).shape == (0, 2)


def distances(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the differing bits of hashes, pair by pair."""
    differing = np.unpackbits((first ^ second).view(np.uint8), axis=1)
    counts: NDArray[np.int64] = differing.sum(axis=1, dtype=np.int64)
    return counts


def words(bits: Pixels) -> NDArray[np.int64]:
    padded = np.zeros((len(bits), 256), np.uint8)
    padded[:, :BITS] = bits
    return np.packbits(padded, axis=1, bitorder="little").view(np.int64)


def test_different_faces_rarely_have_a_key_in_common(faces: Pixels) -> None:
    keys = band_keys(hash_pixels(faces))
    first, second = np.triu_indices(len(faces), 1)

    assert (keys[first] == keys[second]).any(axis=1).mean() < 0.05


@pytest.mark.parametrize("size", [(128, 128), (32, 32), (16, 20), (150, 90)])
def test_bits_say_where_an_image_gets_brighter(size: tuple[int, int]) -> None:
    width = size[1]
    ramp = np.broadcast_to(np.linspace(0, 255, width), size).astype(np.uint8)
    flat = np.full(size, 200, np.uint8)
    hashes = hash_pixels(np.stack([ramp, ramp[:, ::-1], flat]))

    bits = np.unpackbits(hashes.view(np.uint8), axis=1, bitorder="little")
    assert bits[0, :100].all()
    assert not bits[0, 100:].any()  # brighter to the right, not downwards
    assert not bits[1:].any()
