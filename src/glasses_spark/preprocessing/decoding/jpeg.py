"""Decoding of one JPEG file to a small grey image, with Pillow.

OpenCV below 4.12, which NumPy 1 needs, reads some JPEG files with a pointer that it has not set
(CVE-2025-53644).
"""

from __future__ import annotations

import io
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from glasses_spark.errors import DecodeError
from glasses_spark.preprocessing.decoding.png_file import MAX_PIXELS

# The first bytes of each JPEG file.
JPEG_SIGNATURE: Final = b"\xff\xd8\xff"

# Marker of a scan. Cameras and programs write 1 to 12 of them, also in a thumbnail.
_SCAN: Final = b"\xff\xda"
MAX_SCANS: Final = 64


def decode_jpeg(
    content: bytes | memoryview, height: int = 128, width: int = 128
) -> NDArray[np.uint8]:
    """Decode a JPEG file to grey, turn it upright and resize it as ``decode`` does.

    Args:
        content: The complete file.
        height: Rows of the result, at least 1.
        width: Columns of the result, at least 1.

    Returns:
        uint8 of shape ``(height, width)``, 0 black to 255 white: the luminance of the file.
        Its orientation (EXIF), which cameras write, is applied.

    Raises:
        DecodeError: The bytes are not one complete JPEG file, or declare more than
            ``MAX_PIXELS``.
    """
    resized: NDArray[np.uint8] = cv2.resize(decode_full_jpeg(content), (width, height))
    return resized


def decode_full_jpeg(content: bytes | memoryview) -> NDArray[np.uint8]:
    """Decode a JPEG file to grey in its own size, upright; see ``decode_jpeg``."""
    if bytes(content[:3]) != JPEG_SIGNATURE:
        raise DecodeError("not a JPEG file")
    # Each scan of a progressive file goes over the whole picture.
    if bytes(content).count(_SCAN) > MAX_SCANS:
        raise DecodeError(f"damaged JPEG: more than {MAX_SCANS} scans")
    try:
        with Image.open(io.BytesIO(content), formats=("JPEG", "MPO")) as image:
            columns, rows = image.size
            if rows * columns > MAX_PIXELS:
                raise DecodeError(f"JPEG of {columns} x {rows}, more than {MAX_PIXELS} pixels")
            # The decoder leaves the colours out.
            image.draft("L", image.size)
            return np.asarray(ImageOps.exif_transpose(image).convert("L"))
    except DecodeError:
        raise
    except Exception as error:  # of Pillow: OSError, SyntaxError, ValueError and others
        raise DecodeError("damaged JPEG image data") from error
