"""Photograph: one file, decoded to the pixels that a model takes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from glasses_spark.errors import DecodeError
from glasses_spark.preprocessing.decoding.batches import (
    MAX_BYTES,
    UNREADABLE,
    describe_failure,
    read_file,
)
from glasses_spark.preprocessing.decoding.decode import decode, decode_full
from glasses_spark.preprocessing.decoding.jpeg import JPEG_SIGNATURE, decode_full_jpeg, decode_jpeg
from glasses_spark.preprocessing.decoding.png_file import PNG_SIGNATURE
from glasses_spark.scorer.alignment import align
from glasses_spark.scorer.face_detector import Detector

STANDARD_INPUT: Final = "-"


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


def decode_file(name: str, *, height: int, width: int, detect: Detector | None = None) -> Photo:
    """Read and decode a file, or standard input; as ``decode_photo``."""
    return decode_photo(name, lambda: _content(name), height=height, width=width, detect=detect)


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
