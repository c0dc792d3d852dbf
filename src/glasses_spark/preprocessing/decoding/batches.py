"""Decoding of Arrow batches of image files in Spark's Python workers.

Each worker imports this module, so it imports little: neither pandas nor the parts of
PySpark that only the driver needs.
"""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import cv2
import pyarrow as pa

from glasses_spark.columns import ERROR, LENGTH, MODIFICATION_TIME, PIXELS
from glasses_spark.errors import DecodeError
from glasses_spark.preprocessing.decoding.decode import decode
from glasses_spark.preprocessing.decoding.png_file import MAX_PIXELS
from glasses_spark.runtime.location import path_on_disk, state_on_disk

# Column of a batch that holds the files' bytes or their paths.
SOURCE: Final = "source"

# First words of the reason if a file could not be opened; a later run tries it again.
UNREADABLE: Final = "cannot be read"

# First words if the decoder raised an exception; a later run tries it again as well.
FAILED: Final = "the decoder failed"

# Of one file: 8 bytes for each pixel of the largest image, and one for its metadata. Spark's own
# file reader takes up to 2 GB.
MAX_BYTES: Final = 9 * MAX_PIXELS

# Characters of a reason that is an exception's own text.
_MAX_REASON: Final = 200

# Options of mallopt, from malloc.h.
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3


def make_decoder(
    height: int, width: int, *, from_paths: bool, state_columns: Sequence[str] = ()
) -> Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]:
    """Return the function for ``DataFrame.mapInArrow`` that decodes images.

    Args:
        height: Rows of the pixels.
        width: Columns of the pixels.
        from_paths: Whether ``source`` holds paths of files to open, not their bytes.
        state_columns: ``length``, ``modificationTime`` or both, to add from the opened
            files.

    Returns:
        A function from batches of any columns and ``source``, the last one, to batches of
        the same columns without ``source``, the state columns, ``pixels`` and ``error``.
        One of the last two is null. State columns are null if the file cannot be read.
    """

    def decode_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        configure_worker()
        read = read_path if from_paths else view_bytes
        for batch in batches:
            *columns, source = batch.columns
            # Before the files are read: a later change is another state of the file.
            states = _read_states(source, state_columns)
            pixels, errors = decode_column(source, height, width, read)
            yield pa.RecordBatch.from_arrays(
                [*columns, *states, pa.array(pixels, pa.binary()), pa.array(errors, pa.string())],
                names=[*batch.schema.names[:-1], *state_columns, PIXELS, ERROR],
            )

    return decode_batches


def decode_column(
    source: pa.Array,
    height: int,
    width: int,
    read: Callable[[pa.Scalar], bytes | memoryview],
) -> tuple[list[bytes | None], list[str | None]]:
    """Decode a column of files.

    Args:
        source: One value per file.
        height: Rows of the pixels.
        width: Columns of the pixels.
        read: Returns the bytes of a file from its value.

    Returns:
        The pixels of each file, or None, and the reason for None, else None. No file ends
        the job: any exception is the reason of its file.
    """
    pixels: list[bytes | None] = []
    errors: list[str | None] = []
    for value in source:
        try:
            pixels.append(decode(read(value), height, width).tobytes())
            errors.append(None)
        except DecodeError as error:
            pixels.append(None)
            errors.append(str(error))
        except Exception as error:  # a fault in a decoder, or too little memory
            pixels.append(None)
            errors.append(describe_failure(error))
    return pixels, errors


def describe_failure(error: Exception) -> str:
    """Return the reason in the quarantine for any exception of a decoder."""
    text = " ".join(str(error).split())
    return f"{FAILED}: {type(error).__name__}{': ' if text else ''}{text}"[:_MAX_REASON]


def view_bytes(content: pa.Scalar) -> memoryview:
    """Return the bytes of a file in a batch as a view into Arrow's memory, not a copy."""
    return memoryview(content.as_buffer() or b"")


def read_path(path: pa.Scalar) -> bytes:
    """Read the file at a path, in Spark's form; see ``read_file``."""
    return read_file(path_on_disk(path.as_py()))


def read_file(path: str) -> bytes:
    """Read a file.

    Args:
        path: Absolute path. Bytes that are not UTF-8 are halves of surrogate pairs.

    Raises:
        DecodeError: It is not a regular file, is too large or cannot be read.
    """
    # As bytes: the encoding of names must not depend on the worker's locale.
    name = path.encode("utf-8", "surrogateescape")
    try:
        status = os.stat(name)
        if not stat.S_ISREG(status.st_mode):  # reading a pipe would block
            raise DecodeError(f"{UNREADABLE}: not a regular file")
        if status.st_size > MAX_BYTES:
            raise DecodeError(f"a file of {status.st_size} bytes, more than {MAX_BYTES}")
        with open(name, "rb") as file:
            return file.read()
    except OSError as error:
        raise DecodeError(f"{UNREADABLE}: {error.strerror}") from error


def configure_worker() -> None:
    """Configure this process for decoding: one thread, and memory that malloc keeps."""
    cv2.setNumThreads(1)  # the other cores run other tasks
    # Keeps the megabytes of one image for the next. Returning them to the system, which
    # zeroes them again for each image, takes a fifth of the decoding time.
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):  # GNU libc only
        libc.mallopt(_M_MMAP_THRESHOLD, 32 << 20)  # the largest value it accepts
        libc.mallopt(_M_TRIM_THRESHOLD, 128 << 20)


def _read_states(paths: pa.Array, state_columns: Sequence[str]) -> list[pa.Array]:
    """Return lengths and times of files, in the units of Spark's file listing."""
    if not state_columns:
        return []
    states = [state_on_disk(path.as_py()) for path in paths]
    columns = {
        LENGTH: pa.array([length for length, _ in states], pa.int64()),
        MODIFICATION_TIME: pa.array([time for _, time in states], pa.timestamp("us", "UTC")),
    }
    return [columns[name] for name in state_columns]
