"""Perceptual hash: 200 bits of an image that its near-duplicates share but for a few.

A difference hash: the image is averaged to 10 x 11 cells and to 11 x 10, and a bit says
whether a cell is brighter than its neighbour to the left, or above. Gradients rather
than levels, as dHash has it (Krawetz, "Kind of Like That", 2013): a change of brightness
moves none of them. Its usual 64 bits do not do for aligned portraits: of 2.9 million
pairs of different drawn faces 9,331 are within 8 bits of 64, and none is within 19 of
these 200 (`benchmarks/bench_near_duplicates.py`; docs/cross-validation.md has a table).
"""

from __future__ import annotations

from itertools import combinations
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.int64]
Integers = npt.NDArray[np.int64]

# Of 8 to 12 the number at which altered copies and different faces are furthest apart.
CELLS: Final = 10
BITS: Final = 2 * CELLS * CELLS
WORDS: Final = -(-BITS // 64)

# Grey levels. Flat parts of an image, whose bits would be those of noise, have zeros.
MARGIN: Final = 0.5

# Copies scaled, compressed, lighter or darker, or moved by a pixel are within 16 bits
# in 99 % of all cases; the two most alike of 2,400 drawn faces differ by 20.
DISTANCE: Final = 16

# Two hashes that differ by at most 16 bits differ in at most 16 of 18 bands, and share
# two or more. Looking up two bands at once leaves a fifth of the candidates of one.
BANDS: Final = DISTANCE + 2
BAND_PAIRS: Final = tuple(combinations(range(BANDS), 2))
_SET_BITS: Final = np.array([number.bit_count() for number in range(2**16)], np.uint8)


def hash_pixels(pixels: npt.NDArray[np.uint8]) -> Hashes:
    """Hash images.

    Args:
        pixels: ``(images, height, width)``, uint8 grey.

    Returns:
        ``(images, 4)``, int64: 200 bits and 56 zeros. The same on every machine: the
        averages are sums of whole numbers.
    """
    across = _cells(pixels, CELLS, CELLS + 1)
    down = _cells(pixels, CELLS + 1, CELLS)
    margin = MARGIN * pixels.shape[1] * pixels.shape[2]
    brighter = np.concatenate(
        [
            (np.diff(across, axis=2) > margin).reshape(len(pixels), -1),
            (np.diff(down, axis=1) > margin).reshape(len(pixels), -1),
        ],
        axis=1,
    )
    padded = np.zeros((len(pixels), 64 * WORDS), np.uint8)
    padded[:, :BITS] = brighter
    return np.packbits(padded, axis=1, bitorder="little").view("<i8").astype(np.int64)


def band_keys(hashes: Hashes) -> Integers:
    """Make keys of which two near hashes share at least one, and others seldom any.

    Args:
        hashes: ``(images, 4)``, as ``hash_pixels`` gives them.

    Returns:
        ``(images, 153)``, one key for each pair of bands; it also holds the pair's number.
    """
    bits = _bits(hashes)
    # Every 18th bit: neighbours, which are often alike, are in different bands.
    bands = [bits[:, band::BANDS] for band in range(BANDS)]
    values = [band.astype(np.int64) @ (1 << np.arange(band.shape[1])) for band in bands]
    width = bands[0].shape[1]
    keys = [
        (number << 2 * width) | (values[one] << width) | values[other]
        for number, (one, other) in enumerate(BAND_PAIRS)
    ]
    return np.stack(keys, axis=1)


def near_pairs(hashes: Hashes) -> Integers:
    """Find all pairs of hashes that differ by at most ``DISTANCE`` bits.

    Args:
        hashes: ``(images, 4)``, distinct: of n equal ones all pairs would be found.

    Returns:
        ``(pairs, 2)``: places in ``hashes``, the smaller first, each pair once. The time
        grows with the candidates, hashes with a key in common: of drawn faces 0.9 % of
        all pairs.
    """
    count = len(hashes)
    found = [np.zeros(0, np.int64)]
    for keys in band_keys(hashes).T:
        order = np.argsort(keys, kind="stable")
        keys = keys[order]
        first, step = np.arange(count), 0
        while len(first):
            step += 1
            first = first[first + step < count]
            first = first[keys[first] == keys[first + step]]
            one, other = order[first], order[first + step]
            near = distances(hashes[one], hashes[other]) <= DISTANCE
            # A stable sort leaves the smaller place first.
            found.append(one[near] * count + other[near])
    pairs = np.unique(np.concatenate(found))
    return np.stack(np.divmod(pairs, max(count, 1)), axis=1)


def distances(one: Hashes, other: Hashes) -> Integers:
    """Count the bits by which hashes ``(pairs, 4)`` differ, pair by pair: ``(pairs,)``."""
    parts = np.ascontiguousarray(one ^ other).view(np.uint16)
    counted: Integers = _SET_BITS[parts].sum(axis=1, dtype=np.int64)
    return counted


def _bits(hashes: Hashes) -> npt.NDArray[np.uint8]:
    octets = np.ascontiguousarray(hashes.astype("<i8")).view(np.uint8)
    return np.unpackbits(octets, axis=1, bitorder="little")[:, :BITS]


def _cells(pixels: npt.NDArray[np.uint8], rows: int, columns: int) -> npt.NDArray[Any]:
    """Sum each image over cells: ``(images, rows, columns)``, mean grey times the pixels."""
    images, height, width = pixels.shape
    # Two plain products of matrices; whole numbers below 2**53, thus exact.
    across = pixels.reshape(-1, width).astype(np.float64) @ _shares(width, columns)
    cells: npt.NDArray[Any] = _shares(height, rows).T @ across.reshape(images, height, columns)
    return cells


def _shares(length: int, cells: int) -> npt.NDArray[np.float64]:
    """How much of each pixel is in each cell, in parts of 1 / ``cells``: ``(length, cells)``."""
    start = np.arange(length)[:, None] * cells
    low = np.arange(cells) * length
    shared = np.minimum(start + cells, low + length) - np.maximum(start, low)
    shares: npt.NDArray[np.float64] = np.maximum(shared, 0).astype(np.float64)
    return shares
