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


def weighted_mean(updates: Sequence[Vector], rows: Sequence[int]) -> Vector:
    """Return the mean of updates, weighted by their rows.

    They are summed in the given order, so that equal updates give equal means to the last bit,
    on any number of cores.

    Args:
        updates: Vectors ``(size,)`` of the same type; at least one.
        rows: Number of rows behind each, at least 1.
    """
    total, dtype = sum(rows), updates[0].dtype
    shares = [np.asarray(count / total, dtype) for count in rows]
    mean = np.empty_like(updates[0])

    def fill(begin: int, end: int) -> None:
        part = np.empty(_BLOCK, dtype)
        for start in range(begin, end, _BLOCK):
            block = mean[start : min(end, start + _BLOCK)]
            stop = start + len(block)
            np.multiply(updates[0][start:stop], shares[0], out=block)
            for update, share in zip(updates[1:], shares[1:], strict=True):
                block += np.multiply(update[start:stop], share, out=part[: len(block)])

    threads = count_cores() if len(mean) >= _LARGE else 1
    if threads == 1:
        fill(0, len(mean))
        return mean
    ends = [len(mean) * index // threads for index in range(threads + 1)]
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, ends[:-1], ends[1:]))
    return mean
