"""Validation of PNG files: chunks, lengths and checksums, before any pixel is decoded."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from glasses_spark.errors import DecodeError
from glasses_spark.preprocessing.decoding.checksum import crc32

PNG_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"

# 256 MB as RGBA, about 60 times an image of the Kaggle set. A file of a few bytes can
# declare any size, and the decoder allocates what the file declares.
MAX_PIXELS: Final = 64 * 1024 * 1024

# More would take seconds to check. A file of 2 GB in chunks of libpng's usual 8 KB has half
# of them.
MAX_CHUNKS: Final = 500_000

# Length and type come before the data of a chunk, the CRC after it.
_CHUNK_START: Final = struct.Struct(">I4s")
_CHUNK_END: Final = struct.Struct(">I")
_CHUNK_OVERHEAD: Final = 12


@dataclass(frozen=True, slots=True)
class PngFile:
    """Header and chunks of a complete PNG file.

    Attributes:
        width: Columns, at least 1.
        height: Rows, at least 1; ``width * height`` is at most ``MAX_PIXELS``.
        depth: Bits per sample, as in the header; not validated.
        colour: Colour type, as in the header; not validated.
        methods: The last three bytes of the header: compression, filter, interlace.
        kinds: Types of the chunks in order; consecutive IDAT chunks count once.
        longest: Length of the longest chunk in bytes.
        data: Data of each IDAT chunk in order, as views of the file.
    """

    width: int
    height: int
    depth: int
    colour: int
    methods: bytes
    kinds: tuple[bytes, ...]
    longest: int
    data: tuple[memoryview, ...]


def read_png_file(content: memoryview) -> PngFile:
    """Read the chunks from the signature to IEND and check the CRC of each.

    Args:
        content: The complete file; bytes after IEND are ignored.

    Raises:
        DecodeError: The bytes are not one complete PNG file, or declare more than
            ``MAX_PIXELS``. The message is a short reason without the file's name.
    """
    if len(content) == 0:
        raise DecodeError("empty file")
    if bytes(content[: len(PNG_SIGNATURE)]) != PNG_SIGNATURE:
        raise DecodeError(f"not a PNG file (starts with {bytes(content[:8])!r})")
    kind, header, position = _next_chunk(content, len(PNG_SIGNATURE))
    width, height = _size(kind, header)
    kinds, longest, data = [kind], len(header), []
    count = 1
    while kind != b"IEND":
        kind, body, position = _next_chunk(content, position)
        count += 1
        if count > MAX_CHUNKS:
            raise DecodeError(f"PNG of {width} x {height} pixels in more than {MAX_CHUNKS} chunks")
        if kind == b"IDAT":
            data.append(body)
        if kind != b"IDAT" or kinds[-1] != b"IDAT":
            kinds.append(kind)
        longest = max(longest, len(body))
    if not data:
        raise DecodeError("PNG without image data")
    return PngFile(
        width=width,
        height=height,
        depth=header[8],
        colour=header[9],
        methods=bytes(header[10:]),
        kinds=tuple(kinds),
        longest=longest,
        data=tuple(data),
    )


def iterate_chunks(content: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield type and data of each chunk of a file that ``read_png_file`` accepts."""
    kind, position = b"", len(PNG_SIGNATURE)
    while kind != b"IEND":
        length, kind = _CHUNK_START.unpack_from(content, position)
        yield kind, content[position + 8 : position + 8 + length]
        position += _CHUNK_OVERHEAD + length


def _next_chunk(content: memoryview, position: int) -> tuple[bytes, memoryview, int]:
    """Return type and data of the chunk at ``position``, and the position of the next."""
    if position + _CHUNK_OVERHEAD > len(content):
        raise DecodeError("truncated PNG file")
    length, kind = _CHUNK_START.unpack_from(content, position)
    end = position + _CHUNK_OVERHEAD + length
    if end > len(content):
        raise DecodeError("truncated PNG file")
    kind_and_body = content[position + 4 : end - 4]
    if crc32(kind_and_body) != _CHUNK_END.unpack_from(content, end - 4)[0]:
        raise DecodeError("damaged PNG file (checksum differs)")
    return kind, kind_and_body[4:], end


def _size(kind: bytes, header: memoryview) -> tuple[int, int]:
    if kind != b"IHDR" or len(header) != 13:
        raise DecodeError("PNG without a header")
    width = int.from_bytes(header[:4], "big")
    height = int.from_bytes(header[4:8], "big")
    if width == 0 or height == 0:
        raise DecodeError(f"PNG of {width} x {height} pixels")
    if width * height > MAX_PIXELS:
        raise DecodeError(f"PNG of {width} x {height} pixels, more than {MAX_PIXELS} in all")
    return width, height
