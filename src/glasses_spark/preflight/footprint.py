"""Memory and disk space that a run needs, by formula."""

from __future__ import annotations

from typing import Final

MB: Final = 10**6
GIB: Final = 2**30

# Measured by benchmarks/bench_memory.py for the CNN of the published experiment: a worker
# peaked at 592 to 637 MB, the driver's Python at 366 to 381 MB.
WORKER_BYTES: Final = 650 * MB
DRIVER_BYTES: Final = 400 * MB

# Estimate for the JVM with its heap while it lists, shuffles and plans.
JVM_BYTES: Final = 1000 * MB

# Copies of the pixels in Spark's local folders: persisted (if memory is full), written by
# the shuffle, and spooled by the workers.
LOCAL_COPIES: Final = 3


def memory_of_run(workers: int) -> int:
    """Return the peak memory of a run in local mode.

    Args:
        workers: Workers that train at the same time on this machine; 0 if they run
            elsewhere.

    Returns:
        Bytes.
    """
    return DRIVER_BYTES + JVM_BYTES + workers * WORKER_BYTES


def local_disk_of_run(images: int, pixels: int) -> int:
    """Return the largest size of a run's files in Spark's local folders.

    Args:
        images: Images that are used.
        pixels: Height times width of an image in training.

    Returns:
        Bytes.
    """
    return LOCAL_COPIES * images * pixels


def store_of_run(images: int, pixels: int) -> int:
    """Return the largest size of the pixel store, without the compression of Parquet.

    Args:
        images: As for ``local_disk_of_run``.
        pixels: As for ``local_disk_of_run``.

    Returns:
        Bytes.
    """
    return images * pixels
