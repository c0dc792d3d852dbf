"""Demand: the memory and the disk that a run takes, by formula."""

from __future__ import annotations

from typing import Final

MB: Final = 10**6
GIB: Final = 2**30

# Measured by benchmarks/bench_memory.py, for the CNN of the published experiment: a worker
# peaked at 592 to 637 MB, the driver's Python at 366 to 381 MB.
WORKER_BYTES: Final = 650 * MB
DRIVER_BYTES: Final = 400 * MB

# Estimated: the JVM's heap while it lists, shuffles and plans, and the JVM itself.
JVM_BYTES: Final = 1000 * MB

# What a run keeps of an image in Spark's local folders: once as Spark persists it (where its
# memory is full), once as the shuffle writes it, once as a worker spools it.
LOCAL_COPIES: Final = 3


def memory_of_run(processes: int) -> int:
    """Bytes that a run takes in local mode, at its peak.

    Args:
        processes: Workers that train at the same time, at least 1.
    """
    return DRIVER_BYTES + JVM_BYTES + processes * WORKER_BYTES


def local_disk_of_run(images: int, pixels: int) -> int:
    """Bytes that a run writes to Spark's local folders, at most.

    Args:
        images: How many images are used.
        pixels: Height times width to which they are brought.
    """
    return LOCAL_COPIES * images * pixels


def store_of_run(images: int, pixels: int) -> int:
    """Bytes of the pixel store, at most: Parquet compresses what is flat."""
    return images * pixels
