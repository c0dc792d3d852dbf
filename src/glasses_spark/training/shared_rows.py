"""Shared rows: the rows of fits on one DataFrame, prepared once for each selection."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Row

from glasses_spark.runtime.persist import persist
from glasses_spark.training.partition import count_buckets
from glasses_spark.training.training_frame import Selection


@dataclass(frozen=True)
class PreparedRows:
    """The persisted rows of a fit.

    Attributes:
        frame: Result of `training_frame`.
        buckets: Result of `count_buckets`.
    """

    frame: DataFrame
    buckets: list[Row]


class SharedRows:
    """Persists rows for a number of fits, and unpersists them after the last one.

    Safe for fits in several threads: the others wait while the first one prepares the rows.

    Args:
        fits: Number of fits, each of which enters this object as a context manager once.
    """

    def __init__(self, fits: int = 1) -> None:
        self._left = fits
        self._running = 0
        self._prepared: dict[Selection, PreparedRows] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        with self._lock:
            self._running += 1
        return self

    def __exit__(self, error_type: type[BaseException] | None, *_: object) -> None:
        with self._lock:
            self._running -= 1
            # After an error there may be no other fit. If there is, it prepares its rows again.
            self._left = 0 if error_type else self._left - 1
            if self._left <= 0 and not self._running:
                self._release()

    def __del__(self) -> None:
        # Somebody may take only the first models of a grid. The session may have ended since.
        with suppress(Exception):
            self._release()

    def prepare(self, selection: Selection, select: Callable[[], DataFrame]) -> PreparedRows:
        """Return the rows of a selection; persist and count them at its first fit.

        Args:
            selection: What the rows depend on.
            select: Returns the rows, not yet persisted.
        """
        with self._lock:
            if selection not in self._prepared:
                frame = persist(select(), StorageLevel.MEMORY_AND_DISK)
                try:
                    self._prepared[selection] = PreparedRows(frame, count_buckets(frame))
                except BaseException:
                    frame.unpersist()
                    raise
            return self._prepared[selection]

    def _release(self) -> None:
        while self._prepared:
            _, rows = self._prepared.popitem()
            rows.frame.unpersist()
