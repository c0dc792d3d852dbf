"""Spool: a worker's rows in a file on its local disk, read batch by batch."""

from __future__ import annotations

import mmap
import queue
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from glasses_spark.scoring.features import STRING
from glasses_spark.training.worker.texts import Texts

Rows = npt.NDArray[Any]
# Features of each input, labels of each output and sample weights of some rows.
Batch = tuple[tuple[Rows, ...], tuple[Rows, ...], Rows]

# Batches that are read ahead while the model computes.
PREFETCHED_BATCHES: Final = 2


@dataclass(frozen=True)
class RowField:
    """Values of one input or output in a row.

    Attributes:
        dtype: ``uint8`` for pixels, ``string``, or the NumPy type of numbers.
        size: Number of values; 0 for the label of an output that needs none.
        name: What messages call them.
    """

    dtype: str
    size: int
    name: str = ""

    @property
    def stored(self) -> tuple[str, tuple[int, ...]]:
        """Type and shape in the file, which has start and length of a string."""
        return ("int64", (self.size, 2)) if self.dtype == STRING else (self.dtype, (self.size,))


@dataclass(frozen=True)
class RowFormat:
    """Format of one row in the file.

    Attributes:
        features: Features of each input, in the order of ``model.inputs``.
        labels: Label of each output, in the order of ``model.outputs``, after encoding.
        dtype: Type of sample weights, ``float32`` or ``float64``.
    """

    features: tuple[RowField, ...]
    labels: tuple[RowField, ...]
    dtype: str

    @property
    def record(self) -> np.dtype[Any]:
        """NumPy type of a row: a record of the fields ``x``, ``x_1``, ..., ``y``, ``weight``."""
        names = chain(self.named_features(), self.named_labels())
        return np.dtype([*((name, *each.stored) for name, each in names), ("weight", self.dtype)])

    def named_features(self) -> Iterator[tuple[str, RowField]]:
        """Yield the name in a record and the features of each input."""
        return ((numbered("x", number), field) for number, field in enumerate(self.features))

    def named_labels(self) -> Iterator[tuple[str, RowField]]:
        """Yield the name in a record and the label of each output."""
        return ((numbered("y", number), field) for number, field in enumerate(self.labels))


def numbered(name: str, number: int) -> str:
    """Return the name of a column or field of an input or output: the first has no number."""
    return f"{name}_{number}" if number else name


class Spool:
    """Rows in a temporary file, written once and read in any order.

    The file has no name, so the operating system deletes it when the process ends,
    also after a crash. Only the keys, 8 bytes per row, are in memory.

    Args:
        row_format: Format of a row.
        folder: Folder of the file, such as Spark's local directory; None takes
            the system's temporary folder.
        texts: Strings of the rows; None for rows without strings.
    """

    def __init__(
        self, row_format: RowFormat, folder: str | None = None, texts: Texts | None = None
    ) -> None:
        self.row_format = row_format
        self._texts = texts
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
        """Write rows.

        Args:
            rows: Records of `RowFormat.record`, ``(rows,)``.
            keys: Sort keys of the rows, ``(rows,)``.
        """
        self._file.write(np.ascontiguousarray(rows).view(np.uint8).data)
        self._keys.append(np.asarray(keys, np.int64))

    def close_for_reading(self) -> None:
        """End the writing and sort the rows by their keys.

        Spark delivers the rows of a shuffled partition in no fixed order. Keys
        computed from the rows give a reproducible order.
        """
        self._file.flush()
        keys = np.concatenate(self._keys) if self._keys else np.zeros(0, np.int64)
        self._order = np.argsort(keys, kind="stable")
        if len(keys):
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
            if hasattr(mmap, "MADV_RANDOM"):
                self._map.madvise(mmap.MADV_RANDOM)
            self._rows = np.frombuffer(self._map, self.row_format.record)

    def take(self, indices: npt.NDArray[np.int64]) -> Batch:
        """Copy rows.

        Args:
            indices: Indices of the rows in the order of their keys, from 0.

        Returns:
            Features ``(rows, size)`` of each input, labels ``(rows, size)`` of each
            output, and sample weights ``(rows,)``.
        """
        if self._rows is None or self._order is None:
            raise ValueError("the spool has no rows to read. Call close_for_reading first")
        positions = self._order[indices]
        rows, row_format = self._rows, self.row_format
        x = tuple(self._values(rows[name][positions], f) for name, f in row_format.named_features())
        y = tuple(rows[name][positions] for name, _ in row_format.named_labels())
        return x, y, rows["weight"][positions]

    def _values(self, stored: Rows, field: RowField) -> Rows:
        if field.dtype != STRING:
            return stored
        if self._texts is None:
            raise ValueError("the spool has strings. Give it the texts that hold them")
        return self._texts.take(stored)

    def batches(
        self, order: npt.NDArray[np.int64], batch_size: int, *, first: int = 0
    ) -> Iterator[Batch]:
        """Read rows in batches, ahead of time in a thread.

        Args:
            order: Indices of the rows in the order of their keys, from 0.
            batch_size: Rows in a batch; the last batch may have fewer.
            first: Number of the first batch to read, from 0.

        Yields:
            Features, labels and sample weights, as `take` returns them.
        """
        starts = range(first * batch_size, len(order), batch_size)
        ready: queue.Queue[Any] = queue.Queue(PREFETCHED_BATCHES)
        stopped = threading.Event()

        def put(item: Any) -> None:
            while not stopped.is_set():
                try:
                    ready.put(item, timeout=0.2)
                    return
                except queue.Full:
                    continue

        def read() -> None:
            try:
                for start in starts:
                    if stopped.is_set():
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
            stopped.set()
            reader.join()
