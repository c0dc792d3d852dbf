"""Fuzz target ``decode``: one image file."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from glasses_spark.errors import DecodeError
from glasses_spark.preprocessing.decoding.decode import decode
from tests.fuzz.target import Check, Target, flipped, refused

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_SIDE: Final = 16


def seeds() -> list[bytes]:
    """Return small PNG files of each colour type, depth and interlacing, and an animated one."""
    chance = np.random.default_rng(0)
    files = []
    for depth, colour, channels in ((8, 0, 1), (16, 0, 1), (8, 2, 3), (16, 2, 3), (8, 6, 4)):
        rows = chance.integers(0, 256, (20, 24 * channels * depth // 8), np.uint8)
        for interlaced in (0, 1):
            files.append(_png(rows.tobytes(), depth, colour, interlaced))
    for depth in (1, 2, 4, 8):
        indices = chance.integers(0, 2, (20, 24 * depth // 8), np.uint8)
        palette = (b"PLTE", bytes(range(6 << min(depth, 3))))
        files.append(_png(indices.tobytes(), depth, 3, 0, palette, (b"tRNS", b"\1\2")))
    plain = _png(chance.integers(0, 256, (20, 48), np.uint8).tobytes(), 16, 0, 0)
    chunks = list(_chunks(plain))
    frame = struct.pack(">IIIIIHHBB", 0, 24, 20, 0, 0, 1, 10, 0, 0)
    animated = [chunks[0], (b"acTL", struct.pack(">II", 1, 0)), (b"fcTL", frame), *chunks[1:]]
    files.append(_join(animated))
    text = (b"zTXt", b"Comment\0\0" + zlib.compress(bytes(4096)))
    profile = (b"iCCP", b"p\0\0" + zlib.compress(bytes(4096)))
    files.append(_join([chunks[0], profile, text, (b"gAMA", b"\0\0\xb1\x8f"), *chunks[1:]]))
    return files


@contextmanager
def opened() -> Iterator[Check]:
    """Provide a check: a picture of the right shape, equal to OpenCV's, or a reason."""
    cv2.setNumThreads(1)

    def check(data: bytes) -> None:
        pixels: list[NDArray[np.uint8]] = []
        if refused(lambda: pixels.append(decode(data, _SIDE, _SIDE)), DecodeError):
            return
        (picture,) = pixels
        assert picture.shape == (_SIDE, _SIDE)
        assert picture.dtype == np.uint8
        expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        if expected is not None and expected.dtype == np.uint8:
            assert np.array_equal(picture, cv2.resize(expected, (_SIDE, _SIDE)))

    yield check


def mutate(data: bytes, chance: Random) -> bytes:
    """Change one chunk, the order of the chunks or the inflated rows; checksums stay right."""
    chunks = list(_chunks(data))
    if not chunks:
        return flipped(data, chance)
    number = chance.randrange(len(chunks))
    kind, content = chunks[number]
    match chance.randrange(5):
        case 0:
            chunks[number] = (kind, flipped(content, chance))
        case 1:
            chunks.insert(chance.randrange(len(chunks) + 1), chunks[number])
        case 2:
            del chunks[number]
        case 3:
            new = chance.choice((b"IDAT", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"IEND"))
            chunks[number] = (new, content)
        case _:
            rows = _inflated(b"".join(part for name, part in chunks if name == b"IDAT"))
            others = [chunk for chunk in chunks if chunk[0] != b"IDAT"]
            packed = zlib.compress(flipped(rows, chance), chance.choice((0, 1, 9)))
            cut = chance.randrange(len(packed) + 1)
            chunks = [*others[:1], (b"IDAT", packed[:cut]), (b"IDAT", packed[cut:]), *others[1:]]
    return _join(chunks)


def _png(
    rows: bytes, depth: int, colour: int, interlaced: int, *more: tuple[bytes, bytes]
) -> bytes:
    width, height = 24, 20
    line = len(rows) // height
    filtered = b"".join(
        bytes([number % 5]) + rows[number * line : (number + 1) * line] for number in range(height)
    )
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    # An interlaced file has more filter bytes than rows.
    packed = zlib.compress(filtered + bytes(64 * interlaced))
    return _join([(b"IHDR", header), *more, (b"IDAT", packed), (b"IEND", b"")])


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = len(_SIGNATURE)
    while position + 8 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        yield data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        position += 12 + length


def _join(chunks: list[tuple[bytes, bytes]]) -> bytes:
    parts = [_SIGNATURE]
    for kind, content in chunks:
        checksum = zlib.crc32(kind + content)
        parts.append(struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum))
    return b"".join(parts)


def _inflated(packed: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(packed, 1 << 16)
    except zlib.error:
        return bytes(64)


DECODE: Final = Target("decode", seeds, opened, mutate)
