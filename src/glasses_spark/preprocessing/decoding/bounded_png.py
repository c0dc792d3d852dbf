"""PNG files for OpenCV, in which nothing inflates to much more than the image needs.

A file of 2 MB can hold 2 GB of image data after those of a 16 x 16 image, or 1,000 compressed
texts of 8 MB each. libpng inflates all of it, and uses none of it for the pixels.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Final

from glasses_spark.errors import DecodeError
from glasses_spark.preprocessing.decoding.image_data import chunk, inflate, stored
from glasses_spark.preprocessing.decoding.png_file import PNG_SIGNATURE, PngFile, iterate_chunks

# Image data beyond those of the image that libpng may inflate, which takes 0.3 s.
MAX_SURPLUS: Final = 64 * 2**20

# Larger images are not inflated here, but only measured, to limit the memory.
_MAX_INFLATED: Final = 64 * 2**20

# Largest factor by which deflate compresses.
_MAX_RATIO: Final = 1032

# libpng inflates these texts, and OpenCV's reader of animations can crash the process on damaged
# ones. They do not affect the pixels of the still image.
_LEFT_OUT: Final = frozenset({b"zTXt", b"iTXt", b"acTL", b"fcTL", b"fdAT"})

# Bytes to inflate, and bytes inflated, at a time.
_STEP: Final = 2**16

_SAMPLES: Final = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}

# Passes of Adam7: first column, first row, step in x, step in y.
_ADAM7: Final = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


def bounded_png(
    file: PngFile, content: memoryview, *, surplus: int = MAX_SURPLUS
) -> bytes | memoryview:
    """Return a file with the same pixels that a decoder reads in bounded time.

    Args:
        file: Header and chunks of the content.
        content: The complete file.
        surplus: Accepted bytes of image data beyond those of the image.

    Returns:
        The content, or a copy without compressed texts and animation, whose image data are not
        compressed: ISA-L inflates them in less time than libpng.

    Raises:
        DecodeError: There are more image data.
    """
    rows = _checked_rows(file, surplus)
    if rows is None and _LEFT_OUT.isdisjoint(file.kinds):
        return content
    return b"".join([PNG_SIGNATURE, *_simplified(content, rows)])


def image_bytes(file: PngFile) -> int | None:
    """Return the length of the inflated image data; None if the header is invalid."""
    samples, interlaced = _SAMPLES.get(file.colour), file.methods[2]
    if samples is None or file.depth not in (1, 2, 4, 8, 16) or interlaced > 1:
        return None
    total = 0
    for x, y, step_x, step_y in _ADAM7 if interlaced else ((0, 0, 1, 1),):
        columns = -(-max(0, file.width - x) // step_x)
        rows = -(-max(0, file.height - y) // step_y)
        # Each row begins with the number of its filter.
        total += rows * (1 + -(-columns * samples * file.depth // 8)) if columns else 0
    return total


def _checked_rows(file: PngFile, surplus: int) -> bytes | None:
    """Return the inflated image data if they may be too long, and are not; else None."""
    size = image_bytes(file)
    if size is None or sum(map(len, file.data)) * _MAX_RATIO <= size + surplus:
        return None  # the decoder rejects the header, or the data cannot be too long
    if size <= _MAX_INFLATED and file.kinds.count(b"IDAT") == 1:
        try:
            return inflate(file.data, size)
        except Exception:
            pass  # damaged or of another length: the decoder judges, unless it is far longer
    if _inflated_length(file.data, size + surplus) > size + surplus:
        raise DecodeError(
            f"more image data than the {size} bytes that {file.width} x {file.height} pixels have"
        )
    return None


def _inflated_length(data: Sequence[memoryview], limit: int) -> int:
    """Return the length of inflated data up to where they are damaged or exceed the limit."""
    # libpng inflates with zlib, which may accept what ISA-L refuses.
    inflater: Any = zlib.decompressobj()
    done = 0
    try:
        for part in data:
            for start in range(0, len(part), _STEP):
                packed: bytes | memoryview = part[start : start + _STEP]
                while packed and not inflater.eof and done <= limit:
                    done += len(inflater.decompress(packed, _STEP))
                    packed = inflater.unconsumed_tail
    except zlib.error:
        pass
    return done


def _simplified(content: memoryview, rows: bytes | None) -> Iterator[bytes | memoryview]:
    """Yield the parts of the chunks that decide the pixels, with the rows as image data."""
    for kind, body in iterate_chunks(content):
        if kind in _LEFT_OUT:
            continue
        if kind != b"IDAT" or rows is None:
            yield from chunk(kind, [body])
        elif rows:
            yield from chunk(kind, stored(rows, checksum=True))
            rows = b""
