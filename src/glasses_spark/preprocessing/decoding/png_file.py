"""PNG files: taken apart into chunks and checked, before anything decodes them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from glasses_spark.errors import DecodeError
from glasses_spark.preprocessing.decoding.checksum import crc32

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"

# 256 MB as RGBA, about 60 times a face of the Kaggle set. A file of a few bytes
# can claim any size, and the decoder allocates what it claims.
MAX_PIXELS: Final = 64 * 1024 * 1024

# Around the data of a chunk: its length and type before, and its CRC after.
_CHUNK_START: Final = struct.Struct(">I4s")
_CHUNK_END: Final = struct.Struct(">I")
_CHUNK_OVERHEAD: Final = 12


@dataclass(frozen=True, slots=True)
class PngFile:
    """What the chunks of a whole PNG file say, before any pixel is decoded.

    Attributes:
        width: Columns, at least 1.
        height: Rows, at least 1; ``width * height`` is at most ``MAX_PIXELS``.
        depth: Bits of a sample, as the header says; not checked.
        colour: Colour type, as the header says; not checked.
        methods: The last three bytes of the header: compression, filter, interlace.
        kinds: The types of the chunks in their order; IDAT next to IDAT counts once.
        longest: Bytes of the longest chunk.
        data: What each IDAT chunk holds, in order; views of the file.
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
    """Walk the chunks from the signature to IEND and check the CRC of each.

    Args:
        content: The whole file; what follows IEND is not looked at.

    Raises:
        DecodeError: The bytes are not one whole PNG file, or claim more than
            ``MAX_PIXELS``. The message is a short reason without the file's name.
    """
    if len(content) == 0:
        raise DecodeError("empty file")
    if bytes(content[: len(SIGNATURE)]) != SIGNATURE:
        raise DecodeError(f"not a PNG file (starts with {bytes(content[:8])!r})")
    kind, header, position = _next_chunk(content, len(SIGNATURE))
    width, height = _size(kind, header)
    kinds, longest, data = [kind], len(header), []
    while kind != b"IEND":
        kind, body, position = _next_chunk(content, position)
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


def _next_chunk(content: memoryview, position: int) -> tuple[bytes, memoryview, int]:
    """Return the type and the data of the chunk at ``position``, and where the next starts."""
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
