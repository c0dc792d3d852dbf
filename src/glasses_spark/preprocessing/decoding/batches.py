"""Batches: what Spark's Python workers do with Arrow batches of image files.

Each worker imports this module, and so it imports little: not pandas, and not the parts of
PySpark that only a driver needs.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import cv2
import pyarrow as pa

from glasses_spark.columns import ERROR, LENGTH, MODIFICATION_TIME, PIXELS
from glasses_spark.errors import DecodeError
from glasses_spark.preprocessing.decoding.decode import decode
from glasses_spark.runtime.location import path_on_disk, state_on_disk

# The column of a batch that has the files' bytes or their paths.
SOURCE: Final = "source"

# How the reason begins where a file could not be opened; another time it may.
UNREADABLE: Final = "cannot be read"

# What Spark's own reader of files takes at most: an array of Java.
MAX_BYTES: Final = 2**31 - 1

# From malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


def pixels_decoder(
    height: int, width: int, *, opened: bool, told: Sequence[str] = ()
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """Make the function for ``DataFrame.mapInArrow`` that decodes.

    Args:
        height: Rows of the pixels.
        width: Columns of the pixels.
        opened: Whether ``source`` has paths of files to be opened here; else their bytes.
        told: ``length``, ``modificationTime`` or both: what to tell of the files opened.

    Returns:
        A function from batches of any columns and ``source``, the last one, to batches of
        the same columns without it, those of ``told``, ``pixels`` and ``error``. Of the last
        two one is null; what is told is null where the file cannot be looked at.
    """

    def decode_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        settle_in()
        for batch in batches:
            *kept, source = batch.columns
            # Before they are read: whatever changes later is another state of the file.
            states = _states(source, told)
            pixels, errors = decoded(source, height, width, opened_file if opened else viewed_file)
            yield pa.RecordBatch.from_arrays(
                [*kept, *states, pa.array(pixels, pa.binary()), pa.array(errors, pa.string())],
                names=[*batch.schema.names[:-1], *told, PIXELS, ERROR],
            )

    return decode_batches


def _states(paths: pa.Array, told: Sequence[str]) -> list[pa.Array]:
    """Lengths and times of files, as Spark's own scans tell them."""
    if not told:
        return []
    found = [state_on_disk(path.as_py()) for path in paths]
    columns = {
        LENGTH: pa.array([length for length, _ in found], pa.int64()),
        MODIFICATION_TIME: pa.array([time for _, time in found], pa.timestamp("us", "UTC")),
    }
    return [columns[name] for name in told]


def viewed_file(content: pa.Scalar) -> memoryview:
    """The bytes of a file in a batch, as a view into Arrow's memory: they are not copied."""
    return memoryview(content.as_buffer() or b"")


def opened_file(path: pa.Scalar) -> bytes:
    """The bytes of the file at a path, as Spark writes it.

    Raises:
        DecodeError: It is no file, is too large or cannot be read.
    """
    name = path_on_disk(path.as_py())
    try:
        status = os.stat(name)
        if not stat.S_ISREG(status.st_mode):  # a pipe would be waited for
            raise DecodeError(f"{UNREADABLE}: not a regular file")
        if status.st_size > MAX_BYTES:
            raise DecodeError(f"a file of {status.st_size} bytes, more than {MAX_BYTES}")
        return Path(name).read_bytes()
    except OSError as error:
        raise DecodeError(f"{UNREADABLE}: {error.strerror}") from error


def decoded(
    files: pa.Array,
    height: int,
    width: int,
    content: Callable[[pa.Scalar], bytes | memoryview],
) -> tuple[list[bytes | None], list[str | None]]:
    """Decode a column of files.

    Args:
        files: A value a file.
        height: Rows of the pixels.
        width: Columns of the pixels.
        content: Gives the bytes of the file that a value stands for.

    Returns:
        The pixels of each file, or None, and the reason for that, or None.
    """
    pixels: list[bytes | None] = []
    errors: list[str | None] = []
    for file in files:
        try:
            pixels.append(decode(content(file), height, width).tobytes())
            errors.append(None)
        except DecodeError as error:
            pixels.append(None)
            errors.append(str(error))
    return pixels, errors


def settle_in() -> None:
    """Set this process up for decoding image after image."""
    cv2.setNumThreads(1)  # the other cores are for the other tasks
    # The megabytes that one image took are there for the next: given back to the system
    # each time, and zeroed by it each time, they take as long as a fifth of the decoding.
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # of the GNU C library; others are left as they are
        libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20)  # the most that it takes
        libc.mallopt(_M_TRIM_THRESHOLD, 128 << 20)
