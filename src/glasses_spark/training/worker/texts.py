"""Texts: a worker's strings in a file on its local disk, read by their positions."""

from __future__ import annotations

import mmap
import tempfile
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from glasses_spark.scoring.features import flat_values, row_starts

Positions = npt.NDArray[np.int64]


class Texts:
    """Strings of any length in a temporary file, written once and read in any order.

    Rows of a `Spool` have a fixed length, so they hold the position of each string here. The
    file has no name, like that of a spool.

    Args:
        folder: Folder of the file; None takes the system's temporary folder.
    """

    def __init__(self, folder: str | None = None) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, prefix="glasses-spark-")  # noqa: SIM115
        self._size = 0
        self._map: mmap.mmap | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._map is not None:
            self._map.close()
        self._file.close()

    def append(self, column: Any, size: int, name: str) -> Positions:
        """Write the strings of an Arrow column.

        Args:
            column: Arrow array of lists of strings.
            size: Number of strings in a row.
            name: Name of the column for messages.

        Returns:
            Start and length in bytes of each string, ``(rows, size, 2)``.

        Raises:
            DataError: A row or a string is null, or a row has another length.
        """
        row_starts(column, size, name)
        values = flat_values(column, name)
        starts = row_starts(values, -1, name).astype(np.int64)
        if starts[-1] > starts[0]:
            self._file.write(memoryview(values.buffers()[2])[starts[0] : starts[-1]])
        positions = np.empty((len(column), size, 2), np.int64)
        positions[..., 0] = (starts[:-1] - starts[0] + self._size).reshape(-1, size)
        positions[..., 1] = np.diff(starts).reshape(-1, size)
        self._size += int(starts[-1] - starts[0])
        return positions

    def close_for_reading(self) -> None:
        """End the writing."""
        self._file.flush()
        if self._size:
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)

    def take(self, positions: Positions) -> npt.NDArray[np.object_]:
        """Read strings.

        Args:
            positions: Positions ``(rows, size, 2)``, as `append` returned them.

        Returns:
            The strings in UTF-8 as bytes, ``(rows, size)``.
        """
        texts = np.empty(positions.shape[:-1], object)
        flat = texts.reshape(-1)
        for index, (start, length) in enumerate(positions.reshape(-1, 2).tolist()):
            flat[index] = self._map[start : start + length] if self._map and length else b""
        return texts
