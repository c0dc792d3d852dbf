"""The fast path: ordinary PNG files decoded as OpenCV does, in less than half its time.

Three steps: ISA-L inflates the image data and checks its length and checksum; Rust's
png crate, which is memory-safe, undoes the filters of the rows; grey is computed only
for the pixels that the resize reads, 1 in 16 of a face. Each is exact, and whatever is
out of the ordinary, or fails in any way, is left to OpenCV to accept or refuse.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from glasses_spark.preprocessing.decoding.checksum import clear_wide_registers, crc32
from glasses_spark.preprocessing.decoding.png_file import SIGNATURE, PngFile

try:
    from isal import isal_zlib
    from kornia_rs.io import decode_image_png_u8
except ImportError:
    # Accelerators: without them all is as it is with them, but slower.
    AVAILABLE = False
else:
    AVAILABLE = True


# By colour type: how the png crate names it, and samples of a pixel. With 8 bits, OpenCV
# leaves grey as it is, and takes no notice of alpha.
_COLOURS: Final = {0: ("mono", 1), 2: ("rgb", 3), 6: ("rgba", 4)}

# Chunks that say nothing of the pixels. Others might: where gAMA, cHRM, sRGB or iCCP is
# present, libpng mixes the colours in linear light; tRNS, eXIf and acTL have OpenCV do
# other things; and of a type that is unknown here nothing is known.
_HARMLESS: Final = frozenset({b"tEXt", b"tIME", b"pHYs"})
_ORDINARY: Final = (b"IHDR", b"IDAT", b"IEND")

# A chunk that is longer than this is one that libpng may refuse.
_MAX_CHUNK: Final = 8_000_000

# Bounds the memory: where OpenCV keeps a row or two, the samples are held three times
# over here, 200 MB for RGBA of this size.
_MAX_SIDE: Final = 4096

# Deflate with the window of 32 KB. zlib refuses data that reach further back than the
# window they declare; ISA-L does not look.
_ZLIB_HEADER: Final = b"\x78"

# The most that a stored block of deflate can hold.
_MAX_STORED: Final = 65535

# libpng's grey is (9797 R + 19234 G + 3737 B) >> 15. OpenCV's matrix product rounds to
# the nearest, so half is taken off first, and 2**-16 given back lest 0.5 be a tie. All
# are multiples of 2**-16 below 256, and so without error in its float32.
_RGB_TO_GREY: Final = (9797 / 2**15, 19234 / 2**15, 3737 / 2**15)
_ROUND_DOWN: Final = 2**-16 - 0.5


def decode_fast(file: PngFile, height: int, width: int) -> NDArray[np.uint8] | None:
    """Decode an ordinary PNG file to grey and resize it, exactly as OpenCV does.

    Args:
        file: The file, whole and with right checksums.
        height: Rows of the result, at least 1.
        width: Columns of the result, at least 1.

    Returns:
        uint8 of shape ``(height, width)``, or None where the file is for OpenCV: it
        is not 8-bit grey, RGB or RGBA in one pass, has chunks that could change its
        pixels, is wider or higher than 4096, or cannot be decoded this way; or
        isal and kornia-rs are not installed.
    """
    if not AVAILABLE or not _is_ordinary(file):
        return None
    try:
        pixels = _decode(file)
    except Exception:
        # Damaged data, a filter that does not exist, too little memory: OpenCV has the
        # last word on each, and its errors are the ones that users are told of.
        return None
    resized: NDArray[np.uint8] = cv2.resize(_grey(_read(pixels, height, width)), (width, height))
    return resized


def _is_ordinary(file: PngFile) -> bool:
    return (
        file.depth == 8
        and file.colour in _COLOURS
        and file.methods == b"\0\0\0"
        and file.width <= _MAX_SIDE
        and file.height <= _MAX_SIDE
        and file.longest <= _MAX_CHUNK
        and tuple(kind for kind in file.kinds if kind not in _HARMLESS) == _ORDINARY
    )


def _decode(file: PngFile) -> NDArray[np.uint8]:
    """Return the samples, of shape ``(file.height, file.width, samples of a pixel)``."""
    mode, _ = _COLOURS[file.colour]
    png = _stored_png(file, _inflate(file))
    clear_wide_registers()
    pixels: NDArray[np.uint8] = decode_image_png_u8(png, (file.height, file.width), mode)
    return pixels


def _inflate(file: PngFile) -> bytes:
    """Return the rows, each after the number of its filter."""
    _, samples = _COLOURS[file.colour]
    size = file.height * (1 + file.width * samples)
    packed = b"".join(file.data)
    if packed[:1] != _ZLIB_HEADER:
        raise ValueError("unusual compression")
    inflater = isal_zlib.decompressobj()
    # The limit: a small file can inflate to a thousand times its size.
    rows = inflater.decompress(packed, size)
    # At the limit the checksum may not have been reached yet.
    rest = b"" if inflater.eof else inflater.decompress(inflater.unconsumed_tail, 1)
    if len(rows) < size or rest or not inflater.eof:
        raise ValueError("image data of another length")
    return rows


def _stored_png(file: PngFile, rows: bytes) -> bytes:
    """Write rows, with their filters, as a PNG file that is not compressed.

    The png crate takes files only. This one is whole whatever the original was, and
    nothing of the original is in it but the rows.
    """
    header = struct.pack(">IIBB3x", file.width, file.height, file.depth, file.colour)
    # The crate does not look at the checksum of the rows (the last four bytes), which
    # has been checked already.
    data = [b"\x78\x01", *_stored_blocks(rows), bytes(4)]
    return b"".join(
        [SIGNATURE, *_chunk(b"IHDR", [header]), *_chunk(b"IDAT", data), *_chunk(b"IEND", [])]
    )


def _stored_blocks(rows: bytes) -> Iterator[bytes | memoryview]:
    view = memoryview(rows)
    for start in range(0, len(view), _MAX_STORED):
        block = view[start : start + _MAX_STORED]
        last = start + len(block) == len(view)
        yield struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF)
        yield block


def _chunk(kind: bytes, parts: list[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    yield struct.pack(">I", sum(map(len, parts)))
    checksum = 0
    for part in (kind, *parts):
        checksum = crc32(part, checksum)
        yield part
    yield struct.pack(">I", checksum)


def _read(pixels: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Leave out pixels that a bilinear resize to ``height`` x ``width`` does not read.

    Where n rows become one, only those around the middle of each n are read: two where
    n is even, as their mean, and one where it is odd. So the result, resized, is what
    the whole would be. The same for columns; other ratios are left as they are.
    """
    rows, columns, samples = pixels.shape
    if rows % height or columns % width:
        return pixels
    groups = pixels.reshape(height, rows // height, width, columns // width, samples)
    middle = groups[:, _middle(rows // height), :, _middle(columns // width)]
    return middle.reshape(height * middle.shape[1], width * middle.shape[3], samples)


def _middle(n: int) -> slice:
    return slice((n - 1) // 2, n // 2 + 1)


def _grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    samples = pixels.shape[2]
    if samples == 1:
        return pixels[:, :, 0]
    matrix = [*_RGB_TO_GREY, *([0.0] * (samples - 3)), _ROUND_DOWN]
    grey: NDArray[np.uint8] = cv2.transform(pixels, np.array([matrix], np.float32))
    return grey
