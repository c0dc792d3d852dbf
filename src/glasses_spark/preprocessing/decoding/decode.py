"""Decoding of one PNG file to a small grey image, without Spark."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from glasses_spark.errors import DecodeError
from glasses_spark.preprocessing.decoding.bounded_png import bounded_png
from glasses_spark.preprocessing.decoding.checksum import clear_wide_registers
from glasses_spark.preprocessing.decoding.fast_png import decode_fast
from glasses_spark.preprocessing.decoding.png_file import read_png_file

# Version of the pixels that `decode` returns. Stored pixels of another version are decoded
# again. Raise the number when the pixels change, not when the implementation does.
DECODER_VERSION: Final = f"1/opencv-{cv2.__version__.partition('.')[0]}"


def decode(content: bytes | memoryview, height: int = 128, width: int = 128) -> NDArray[np.uint8]:
    """Decode a PNG file to grey and resize it.

    The result equals ``cv2.resize(cv2.imdecode(content, cv2.IMREAD_GRAYSCALE), (width,
    height))`` bit for bit. The file is validated first, because OpenCV chooses its decoder
    by the content, and how much of a truncated file it accepts depends on its version.
    Ordinary files take a path of their own in less than half of OpenCV's time (see
    ``fast_png``).

    Args:
        content: The complete file.
        height: Rows of the result, at least 1.
        width: Columns of the result, at least 1.

    Returns:
        uint8 of shape ``(height, width)``, 0 black to 255 white.

    Raises:
        DecodeError: The bytes are not one complete PNG file, declare more than
            ``MAX_PIXELS``, hold far more data than their image, or decode to something else
            than 8-bit grey. The message is a short reason without the file's name.
    """
    data = memoryview(content)
    file = read_png_file(data)
    pixels = decode_fast(file, height, width)
    if pixels is None:
        pixels = _decode_with_opencv(bounded_png(file, data), height, width)
    # The gate for whatever a decoder returns: OpenCV returns 16-bit pixels for some files.
    if pixels.dtype != np.uint8 or pixels.shape != (height, width):
        raise DecodeError(f"decoded to {pixels.dtype} of shape {pixels.shape}, not to 8-bit grey")
    return pixels


def decode_full(content: bytes | memoryview) -> NDArray[np.uint8]:
    """Decode a PNG file to grey in its own size; see ``decode``."""
    file = read_png_file(memoryview(content))
    return decode(content, file.height, file.width)


def _decode_with_opencv(data: bytes | memoryview, height: int, width: int) -> NDArray[np.uint8]:
    clear_wide_registers()
    try:
        grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error as error:
        raise DecodeError("damaged PNG image data") from error
    if grey is None:
        raise DecodeError("damaged PNG image data")
    resized: NDArray[np.uint8] = cv2.resize(grey, (width, height))
    return resized
