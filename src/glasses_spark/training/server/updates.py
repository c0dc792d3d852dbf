"""Updates: checks and means of the updates of workers."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np

from glasses_spark.runtime.machine import count_cores
from glasses_spark.training.weights import Vector

# Of a number in an update; sums of larger ones could overflow.
LARGEST: Final = 1e30

# Numbers that are summed at a time, so that they stay in the processor's cache.
_BLOCK: Final = 1 << 16

# Numbers from which threads take less time than starting them.
_LARGE: Final = 1 << 20


def is_usable(update: Vector) -> bool:
    """Return whether all numbers are finite and at most `LARGEST`."""
    # Without memory for each number. Comparisons with NaN are false.
    return not update.size or bool(update.min() >= -LARGEST and update.max() <= LARGEST)


def weighted_mean(
    updates: Sequence[Vector], rows: Sequence[int], *, start: Vector | None = None
) -> Vector | None:
    """Return the mean of updates, weighted by their rows; None unless `is_usable`.

    They are summed in the given order, so that equal updates give equal means to the last bit,
    on any number of cores.

    Args:
        updates: Vectors ``(size,)`` of the same type; at least one.
        rows: Number of rows behind each, at least 1.
        start: Vector ``(size,)`` from which to subtract the mean, in place of the mean itself.
    """
    total, dtype = sum(rows), updates[0].dtype
    shares = [np.asarray(count / total, dtype) for count in rows]
    result = np.empty_like(updates[0])

    def fill(begin: int, end: int) -> bool:
        part = np.empty(_BLOCK, dtype)
        for first in range(begin, end, _BLOCK):
            block = result[first : min(end, first + _BLOCK)]
            last = first + len(block)
            np.multiply(updates[0][first:last], shares[0], out=block)
            for update, share in zip(updates[1:], shares[1:], strict=True):
                block += np.multiply(update[first:last], share, out=part[: len(block)])
            if not is_usable(block):
                return False
            if start is not None:
                np.subtract(start[first:last], block, out=block)
        return True

    threads = count_cores() if len(result) >= _LARGE else 1
    if threads == 1:
        return result if fill(0, len(result)) else None
    ends = [len(result) * index // threads for index in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        return result if all(list(pool.map(fill, ends[:-1], ends[1:]))) else None
