"""Decoding: the bytes of one PNG file become a small grey image; no Spark in it."""

from __future__ import annotations

import zlib
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from glasses_spark.errors import DecodeError

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"

# 256 MB as RGBA, about 60 times a face of the Kaggle set. A file of a few bytes
# can claim any size, and the decoder allocates what it claims.
MAX_PIXELS: Final = 64 * 1024 * 1024

# Raised when the same file would give other pixels; stores keep those of each apart.
DECODER_VERSION: Final = f"1, OpenCV {cv2.__version__.split('.')[0]}"

# Names what `decode` makes of a file: kept pixels are decoded anew when it changes.
# Raise the number when the pixels change; which way they are computed does not count.
DECODER_VERSION: Final = f"1/opencv-{cv2.__version__.partition('.')[0]}"

# Around the data of a chunk: 4 bytes length, 4 bytes type, 4 bytes CRC.
_CHUNK_OVERHEAD: Final = 12


def decode(content: bytes | memoryview, height: int = 128, width: int = 128) -> NDArray[np.uint8]:
    """Decode a PNG file to grey and resize it.

    Equal bit for bit to ``cv2.resize(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE),
    (width, height))``. The file is checked before OpenCV sees it: OpenCV chooses
    its decoder by the content and not by the name, and how much of a cut file it
    accepts depends on its version.

    Args:
        content: The whole file.
        height: Rows of the result, at least 1.
        width: Columns of the result, at least 1.

    Returns:
        uint8 of shape ``(height, width)``, 0 black to 255 white.

    Raises:
        DecodeError: The bytes are not one whole PNG file, or claim more than
            ``MAX_PIXELS``. The message is a short reason without the file's name.
    """
    data = memoryview(content)
    _check_png(data)
    try:
        grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error as error:
        raise DecodeError("damaged PNG image data") from error
    if grey is None:
        raise DecodeError("damaged PNG image data")
    resized: NDArray[np.uint8] = cv2.resize(grey, (width, height))
    return resized


def _check_png(data: memoryview) -> None:
    """Walk the chunks from the signature to IEND and check the CRC of each."""
    if len(data) == 0:
        raise DecodeError("empty file")
    if bytes(data[: len(SIGNATURE)]) != SIGNATURE:
        raise DecodeError(f"not a PNG file (starts with {bytes(data[:8])!r})")
    position = len(SIGNATURE)
    first, has_data = True, False
    while True:
        kind, body, position = _next_chunk(data, position)
        if first:
            _check_header(kind, body)
            first = False
        if kind == b"IEND":
            break
        has_data = has_data or kind == b"IDAT"
    if not has_data:
        raise DecodeError("PNG without image data")


def _next_chunk(data: memoryview, position: int) -> tuple[bytes, memoryview, int]:
    """Return the type and the data of the chunk at ``position``, and where the next starts."""
    if position + _CHUNK_OVERHEAD > len(data):
        raise DecodeError("truncated PNG file")
    length = int.from_bytes(data[position : position + 4], "big")
    end = position + _CHUNK_OVERHEAD + length
    if end > len(data):
        raise DecodeError("truncated PNG file")
    kind_and_body = data[position + 4 : end - 4]
    kind = bytes(kind_and_body[:4])
    # About 0.4 ms for a file of 1.7 MB, where decoding it takes 23 ms.
    if zlib.crc32(kind_and_body) != int.from_bytes(data[end - 4 : end], "big"):
        raise DecodeError("damaged PNG file (checksum differs)")
    return kind, kind_and_body[4:], end


def _check_header(kind: bytes, body: memoryview) -> None:
    if kind != b"IHDR" or len(body) != 13:
        raise DecodeError("PNG without a header")
    width = int.from_bytes(body[:4], "big")
    height = int.from_bytes(body[4:8], "big")
    if width == 0 or height == 0:
        raise DecodeError(f"PNG of {width} x {height} pixels")
    if width * height > MAX_PIXELS:
        raise DecodeError(f"PNG of {width} x {height} pixels, more than {MAX_PIXELS} in all")
