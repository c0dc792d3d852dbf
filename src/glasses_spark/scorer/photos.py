"""Photographs: files, folders and standard input, decoded on all cores."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from glasses_spark.errors import DecodeError, ImagesError
from glasses_spark.loading.disk_files import disk_path, list_disk
from glasses_spark.preprocessing.decoding.batches import (
    MAX_BYTES,
    UNREADABLE,
    configure_worker,
    describe_failure,
    read_file,
)
from glasses_spark.preprocessing.decoding.decode import decode, decode_full
from glasses_spark.preprocessing.decoding.jpeg import JPEG_SIGNATURE, decode_full_jpeg, decode_jpeg
from glasses_spark.preprocessing.decoding.png_file import PNG_SIGNATURE
from glasses_spark.scorer.alignment import align
from glasses_spark.scorer.face_detector import Detector

STANDARD_INPUT: Final = "-"

# Names of photographs in a folder.
PHOTOS: Final = "*.{png,PNG,jpg,JPG,jpeg,JPEG}"

# Files read ahead for each thread: enough that none waits, and a bound on memory.
_READ_AHEAD: Final = 2


@dataclass(frozen=True)
class Photo:
    """One photograph.

    Attributes:
        name: Absolute path, or ``-`` for standard input.
        pixels: uint8 of shape ``(height, width)``, 0 black to 255 white; None if it cannot be
            decoded or aligned.
        error: Why it cannot be decoded or aligned; None if it can.
    """

    name: str
    pixels: NDArray[np.uint8] | None = None
    error: str | None = None


def list_photos(locations: Iterable[str], *, glob: str = PHOTOS) -> list[str]:
    """Return the files at some locations.

    Args:
        locations: Files, folders, globs, and ``-`` for standard input.
        glob: Pattern of the names in folders; case-sensitive.

    Returns:
        Absolute paths in the order of the locations, those of a folder sorted by name.

    Raises:
        ImagesError: A location has no such file.
    """
    found: list[str] = []
    for location in locations:
        if location == STANDARD_INPUT:
            found.append(location)
        elif os.path.isfile(location):
            # Its name needs no suffix.
            found.append(disk_path(location))
        else:
            files = sorted(list_disk(location, glob))
            if not files:
                raise ImagesError(
                    f"{location}: no image file found. Give PNG or JPEG files, or folders with "
                    f"files named {glob}, or set data.glob to a pattern of your file names"
                )
            found += files
    return found


def read_photos(
    names: Iterable[str],
    *,
    height: int,
    width: int,
    threads: int,
    detect: Detector | None = None,
) -> Iterator[Photo]:
    """Read and decode files, in their order.

    Args:
        names: Paths, or ``-`` for standard input.
        height: Rows of the pixels.
        width: Columns of the pixels.
        threads: Threads that decode, at least 1. Part of the work holds Python's lock.
        detect: Finds faces; the pixels are those of the face. None: of the complete picture.

    Yields:
        One photograph for each name; no file ends the iteration.
    """
    configure_worker()
    waiting = iter(names)

    def read(name: str) -> Photo:
        return decode_photo(name, lambda: _content(name), height=height, width=width, detect=detect)

    with ThreadPoolExecutor(threads) as pool:
        pending: list[Future[Photo]] = []
        try:
            while True:
                room = _READ_AHEAD * threads - len(pending)
                pending += [pool.submit(read, name) for name in islice(waiting, room)]
                if not pending:
                    return
                yield pending.pop(0).result()
        finally:
            for future in pending:
                future.cancel()


def decode_photo(
    name: str,
    content: Callable[[], bytes],
    *,
    height: int,
    width: int,
    detect: Detector | None = None,
) -> Photo:
    """Decode a PNG or JPEG file; any failure is its reason.

    Args:
        name: Name of the photograph.
        content: Returns the complete file.
        height: Rows of the pixels.
        width: Columns of the pixels.
        detect: As for ``read_photos``.
    """
    try:
        data = content()
        if detect is None:
            return Photo(name, _decode(data, height, width))
        return Photo(name, align(_decode_full(data), detect, height=height, width=width))
    except DecodeError as error:
        return Photo(name, error=str(error))
    except Exception as error:  # a fault in a decoder, or too little memory
        return Photo(name, error=describe_failure(error))


def _decode(data: bytes, height: int, width: int) -> NDArray[np.uint8]:
    if data.startswith(JPEG_SIGNATURE):
        return decode_jpeg(data, height, width)
    _require_png(data)
    return decode(data, height, width)


def _decode_full(data: bytes) -> NDArray[np.uint8]:
    if data.startswith(JPEG_SIGNATURE):
        return decode_full_jpeg(data)
    _require_png(data)
    return decode_full(data)


def _require_png(data: bytes) -> None:
    if data and not data.startswith(PNG_SIGNATURE[: len(data)]):
        raise DecodeError("not a PNG or JPEG file")


def _content(name: str) -> bytes:
    if name == STANDARD_INPUT:
        if sys.stdin is None:
            raise DecodeError(f"{UNREADABLE}: standard input is closed")
        return _read_stream(sys.stdin.buffer)
    return read_file(name)


def _read_stream(stream: BinaryIO | Any) -> bytes:
    data: bytes = stream.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise DecodeError(f"a file of more than {MAX_BYTES} bytes")
    return data
