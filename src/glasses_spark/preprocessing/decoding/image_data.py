"""Image data of PNG files: inflated exactly, and written without compression."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Final

from glasses_spark.preprocessing.decoding.checksum import crc32

try:
    from isal.isal_zlib import adler32, decompressobj
except ImportError:
    from zlib import adler32, decompressobj  # type: ignore[assignment]

# Deflate with a window of 32 KB. zlib rejects data that reach further back than their
# declared window; ISA-L does not check it.
ZLIB_HEADER: Final = b"\x78"

# Capacity of a stored block of deflate.
_MAX_STORED: Final = 65535


def inflate(data: Sequence[memoryview], size: int) -> bytes:
    """Inflate image data of a known length.

    Args:
        data: The data of each IDAT chunk in order.
        size: Their length when inflated.

    Raises:
        Exception: They are damaged, or have another length.
    """
    packed = b"".join(data)
    if packed[:1] != ZLIB_HEADER:
        raise ValueError("unusual compression")
    inflater = decompressobj()
    # With a limit: a small file can inflate to a thousand times its size.
    rows = inflater.decompress(packed, size)
    # At the limit the checksum may not have been read yet.
    rest = b"" if inflater.eof else inflater.decompress(inflater.unconsumed_tail, 1)
    if len(rows) < size or rest or not inflater.eof:
        raise ValueError("image data of wrong length")
    return rows


def stored(rows: bytes, *, checksum: bool) -> list[bytes | memoryview]:
    """Return rows as uncompressed image data.

    Args:
        rows: The rows, each preceded by the number of its filter.
        checksum: Whether to compute the checksum of the rows; else it is 0.
    """
    end = struct.pack(">I", adler32(rows)) if checksum else bytes(4)
    return [b"\x78\x01", *_stored_blocks(rows), end]


def chunk(kind: bytes, parts: Sequence[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """Yield the parts of a PNG chunk: length, type, data and CRC."""
    yield struct.pack(">I", sum(map(len, parts)))
    checksum = 0
    for part in (kind, *parts):
        checksum = crc32(part, checksum)
        yield part
    yield struct.pack(">I", checksum)


def _stored_blocks(rows: bytes) -> Iterator[bytes | memoryview]:
    view = memoryview(rows)
    for start in range(0, len(view), _MAX_STORED):
        block = view[start : start + _MAX_STORED]
        last = start + len(block) == len(view)
        yield struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF)
        yield block
