"""Garbage collection: paused while packages are imported, whose objects stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from glasses_spark.runtime.startup import Optimization, is_enabled


@contextmanager
def collector_paused() -> Iterator[None]:
    """Disable Python's garbage collector within the block.

    An import of TensorFlow creates half a million objects that stay. The collector scans
    them again each time their number has grown by a quarter, a fifth of the import's time.
    """
    # It may be disabled by the user, or by another thread that imports.
    if not gc.isenabled() or not is_enabled(Optimization.PAUSE_GC):
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def freeze_objects() -> None:
    """Exclude all current objects from garbage collection.

    For a process that this package owns, after its imports: these objects stay until it
    ends. A forked worker that scanned them would also copy the memory that it shares.
    """
    if is_enabled(Optimization.PAUSE_GC):
        gc.freeze()
