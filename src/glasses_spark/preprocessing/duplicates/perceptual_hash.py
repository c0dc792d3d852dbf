"""Perceptual hash of an image: 200 bits, of which near-duplicates differ in a few.

It is a difference hash: the image is averaged to 10 x 11 cells and to 11 x 10 cells, and each
bit says whether a cell is brighter than its neighbour to the left, or above. Like dHash
(Krawetz, "Kind of Like That", 2013) it uses gradients, which a change of brightness does not
affect. The usual 64 bits are too few for aligned portraits: of 2.9 million pairs of
different drawn faces, 9,331 differ in at most 8 of 64 bits, but none in at most 19 of these
200 (`benchmarks/bench_near_duplicates.py`; docs/cross-validation.md has a table).
"""

from __future__ import annotations

from itertools import combinations
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.int64]
Integers = npt.NDArray[np.int64]

# The number from 8 to 12 that separates altered copies and different faces best.
CELLS: Final = 10
BITS: Final = 2 * CELLS * CELLS
WORDS: Final = -(-BITS // 64)

# Smallest difference, in grey levels, that sets a bit. Flat parts of an image get zeros
# instead of noise.
MARGIN: Final = 0.5

# Largest number of differing bits of near-duplicates. 99 % of the copies that are scaled,
# compressed, lighter, darker, or shifted by a pixel differ in at most 16 bits; the two most
# similar of 2,400 drawn faces differ in 20.
DISTANCE: Final = 16

# Two hashes that differ in at most 16 bits differ in at most 16 of 18 bands, so at least two
# bands are equal. Keys of two bands leave a fifth of the candidates that keys of one leave.
BANDS: Final = DISTANCE + 2
BAND_PAIRS: Final = tuple(combinations(range(BANDS), 2))
_BAND_BITS: Final = -(-BITS // BANDS)


def hash_pixels(pixels: npt.NDArray[np.uint8]) -> Hashes:
    """Return the perceptual hashes of images.

    Args:
        pixels: ``(images, height, width)``, uint8 grey.

    Returns:
        ``(images, 4)``, int64: 200 bits and 56 zeros. They are the same on every machine,
        because the averages are computed from sums of integers.
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
    """Return lookup keys: two near hashes have at least one in common, others rarely.

    Args:
        hashes: ``(images, 4)``, from ``hash_pixels``.

    Returns:
        ``(images, 153)``: one key per pair of bands, which only compares with keys of the
        same pair.
    """
    values = _band_values(hashes)
    return np.stack([_pair_keys(values, pair) for pair in BAND_PAIRS], axis=1)


def near_pairs(hashes: Hashes, part: int = 0, parts: int = 1) -> Integers:
    """Find pairs that connect all near hashes, without comparing all pairs.

    Two hashes are near if they differ in at most 16 bits. Memory grows with the number of
    hashes and of pairs found.

    Args:
        hashes: ``(images, 4)``, from ``hash_pixels``.
        part: Which part of the search to do, from 0: those near pairs that have a key of
            this part in common. A pair may be found by several parts.
        parts: Number of parts, at most 153.

    Returns:
        ``(pairs, 2)``: indices of two near hashes, the smaller first; each pair once. Of
        equal hashes, each is paired with the first of them and only the first with others:
        all pairs of a thousand equal hashes would be half a million.
    """
    distinct, first, inverse = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
    repeated = np.setdiff1d(np.arange(len(hashes)), first)
    pairs = np.stack([first[inverse[repeated]], repeated], axis=1)
    near = np.sort(first[_near_pairs_of_distinct(distinct, part, parts)], axis=1)
    return np.concatenate([pairs, near])


def _near_pairs_of_distinct(hashes: Hashes, part: int, parts: int) -> Integers:
    values = _band_values(hashes)
    # Pairs as one number each, which NumPy sorts and merges fast.
    found = np.zeros(0, np.int64)
    for pair in BAND_PAIRS[part::parts]:
        keys = _pair_keys(values, pair)
        order = np.argsort(keys)
        keys = keys[order]
        distance, left = 1, np.arange(len(keys))
        # Equal keys are neighbours now: compare each with the next, then with the one after it.
        while len(left):
            left = left[left < len(keys) - distance]
            left = left[keys[left] == keys[left + distance]]
            ends = np.sort([order[left], order[left + distance]], axis=0)
            ends = ends[:, _differing_bits(hashes[ends[0]], hashes[ends[1]]) <= DISTANCE]
            if ends.size:
                found = np.union1d(found, ends[0] * len(hashes) + ends[1])
            distance += 1
    return np.stack(np.divmod(found, max(len(hashes), 1)), axis=1)


def _band_values(hashes: Hashes) -> list[Integers]:
    """Return the bits of each band as a number."""
    bits = _bits(hashes)
    # Every 18th bit, because neighbouring bits are often equal.
    bands = [bits[:, band::BANDS] for band in range(BANDS)]
    return [band.astype(np.int64) @ (1 << np.arange(band.shape[1])) for band in bands]


def _pair_keys(values: list[Integers], pair: tuple[int, int]) -> Integers:
    first, second = pair
    keys: Integers = (values[first] << _BAND_BITS) | values[second]
    return keys


def _differing_bits(first: Hashes, second: Hashes) -> Integers:
    octets = np.ascontiguousarray(first ^ second).view(np.uint8)
    counts: Integers = np.unpackbits(octets, axis=1).sum(axis=1, dtype=np.int64)
    return counts


def _bits(hashes: Hashes) -> npt.NDArray[np.uint8]:
    octets = np.ascontiguousarray(hashes.astype("<i8")).view(np.uint8)
    return np.unpackbits(octets, axis=1, bitorder="little")[:, :BITS]


def _cells(pixels: npt.NDArray[np.uint8], rows: int, columns: int) -> npt.NDArray[Any]:
    """Sum each image over cells: ``(images, rows, columns)``, mean grey times the pixels."""
    images, height, width = pixels.shape
    # Two matrix products of integers below 2**53, which float64 represents exactly.
    across = pixels.reshape(-1, width).astype(np.float64) @ _shares(width, columns)
    cells: npt.NDArray[Any] = _shares(height, rows).T @ across.reshape(images, height, columns)
    return cells


def _shares(length: int, cells: int) -> npt.NDArray[np.float64]:
    """Return the share of each pixel in each cell, in 1 / ``cells``: ``(length, cells)``."""
    start = np.arange(length)[:, None] * cells
    low = np.arange(cells) * length
    shared = np.minimum(start + cells, low + length) - np.maximum(start, low)
    shares: npt.NDArray[np.float64] = np.maximum(shared, 0).astype(np.float64)
    return shares
