"""Spool: a worker's rows in a file on its own disk, read back batch by batch."""

from __future__ import annotations

import mmap
import os
import queue
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[Any]

# Batches made ready while the model computes: one in hand, one in the making.
PREFETCHED_BATCHES: Final = 2


@dataclass(frozen=True)
class RowFormat:
    """How one row lies in the file.

    Attributes:
        feature_dtype: ``uint8`` for pixels, else a floating-point type.
        feature_size: Numbers in a row's features.
        label_size: Numbers in a row's label, after encoding.
        dtype: Type of labels and weights.
    """

    feature_dtype: str
    feature_size: int
    label_size: int
    dtype: str

    @property
    def record(self) -> np.dtype[Any]:
        """The row as a NumPy record of the fields ``x``, ``y`` and ``weight``."""
        return np.dtype(
            [
                ("x", self.feature_dtype, (self.feature_size,)),
                ("y", self.dtype, (self.label_size,)),
                ("weight", self.dtype),
            ]
        )


class Spool:
    """Rows written once, in the order in which they come, and read in any order.

    The file has no name: it goes with the process, however that ends. What is
    kept in memory is one whole number a row.

    Args:
        row_format: Form of a row.
        folder: Where there is room, such as Spark's local directory.
    """

    def __init__(self, row_format: RowFormat, folder: str | None = None) -> None:
        self.row_format = row_format
        self._file = tempfile.TemporaryFile(dir=folder, prefix="glasses-spark-")  # noqa: SIM115
        self._keys: list[npt.NDArray[np.int64]] = []
        self._map: mmap.mmap | None = None
        self._rows: Rows | None = None
        self._order: npt.NDArray[np.int64] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._rows = None
        if self._map is not None:
            self._map.close()
        self._file.close()

    def __len__(self) -> int:
        return sum(len(keys) for keys in self._keys)

    def append(self, rows: Rows, keys: npt.NDArray[np.int64]) -> None:
        """Write rows, with the keys by which they are put in order in the end."""
        self._file.write(np.ascontiguousarray(rows).view(np.uint8).data)
        self._keys.append(np.asarray(keys, np.int64))

    def close_for_reading(self) -> None:
        """End the writing. The order of the rows is that of their keys from here on.

        Spark delivers a partition's rows in whatever order its shuffle files
        come in; keys made from the rows themselves undo that.
        """
        self._file.flush()
        keys = np.concatenate(self._keys) if self._keys else np.zeros(0, np.int64)
        self._order = np.argsort(keys, kind="stable")
        if len(keys):
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
            if hasattr(mmap, "MADV_RANDOM"):
                self._map.madvise(mmap.MADV_RANDOM)
            self._rows = np.frombuffer(self._map, self.row_format.record)

    def take(self, indices: npt.NDArray[np.int64]) -> tuple[Rows, Rows, Rows]:
        """Copy rows out.

        Returns:
            Features ``(rows, feature_size)``, labels ``(rows, label_size)`` and
            weights ``(rows,)``.
        """
        if self._rows is None or self._order is None:
            raise ValueError("expected rows, closed for reading, got none")
        places = self._order[indices]
        return self._rows["x"][places], self._rows["y"][places], self._rows["weight"][places]

    def batches(
        self, order: npt.NDArray[np.int64], batch_size: int, *, first: int = 0
    ) -> Iterator[tuple[Rows, Rows, Rows]]:
        """Read batch after batch, made ready by a thread of its own.

        Args:
            order: The rows to go through, by number.
            batch_size: Rows in a batch; the last one has what is left.
            first: Number of the batch to begin with.

        Yields:
            What `take` returns.
        """
        starts = range(first * batch_size, len(order), batch_size)
        ready: queue.Queue[Any] = queue.Queue(PREFETCHED_BATCHES)
        given_up = threading.Event()

        def put(item: Any) -> None:
            while not given_up.is_set():
                try:
                    ready.put(item, timeout=0.2)
                    return
                except queue.Full:
                    continue

        def read() -> None:
            try:
                for start in starts:
                    if given_up.is_set():
                        return
                    put(self.take(order[start : start + batch_size]))
                put(None)
            except BaseException as error:
                put(error)

        reader = threading.Thread(target=read, name="spool-reader", daemon=True)
        reader.start()
        try:
            while (item := ready.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            given_up.set()
            reader.join()


def spark_local_folder() -> str | None:
    """The folder that Spark gave this Python worker for its files, where it names one."""
    folders = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")
    return next((folder for folder in folders if folder and os.path.isdir(folder)), None)
