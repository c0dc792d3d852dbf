"""Small PNG files, and folders of them, for tests."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from glasses_spark.preprocessing.decoding.png_file import PNG_SIGNATURE

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
SAMPLES = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}

# Passes of Adam7: first column, first row, step in x, step in y.
ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)


def noise_png(height: int = 16, width: int = 16, *, seed: int = 0) -> bytes:
    """Encode random colours as an ordinary 8-bit RGB PNG."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return encode_png(pixels)


def encode_png(pixels: NDArray[np.uint8]) -> bytes:
    """Encode uint8 pixels, grey or BGR, with OpenCV."""
    done, content = cv2.imencode(".png", pixels)
    assert done
    return bytes(content.tobytes())


def any_png(
    height: int,
    width: int,
    *,
    colour: int = RGB,
    depth: int = 8,
    interlaced: bool = False,
    seed: int = 0,
    extra: Iterable[bytes] = (),
) -> bytes:
    """Encode random pixels as a PNG of any kind in the standard.

    Args:
        height: Rows.
        width: Columns.
        colour: Colour type: ``GREY``, ``RGB``, ``PALETTE``, ``GREY_ALPHA`` or ``RGBA``.
        depth: Bits per sample: 1, 2, 4, 8 or 16, if the colour type allows it.
        interlaced: Whether the rows are in the seven passes of Adam7.
        seed: Seed of the pixels.
        extra: Complete chunks to insert before the image data.
    """
    rng = np.random.default_rng(seed)
    samples = rng.integers(0, 2**depth, (height, width, SAMPLES[colour]))
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    rows = b"".join(
        # Filter 0: unchanged samples.
        b"\0" + _pack(row, depth)
        for x, y, step_x, step_y in passes
        if x < width
        for row in samples[y::step_y, x::step_x]
    )
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, int(interlaced))
    parts = [PNG_SIGNATURE, chunk(b"IHDR", header), *extra]
    if colour == PALETTE:
        parts.append(chunk(b"PLTE", rng.integers(0, 256, 3 * 2**depth, dtype=np.uint8).tobytes()))
    return b"".join([*parts, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")])


def animated_png(content: bytes) -> bytes:
    """Make a PNG file an animation of two equal frames."""
    width, height = struct.unpack_from(">II", content, 16)
    first, second = (
        chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, width, height, 0, 0, 1, 10, 0, 0))
        for number in (0, 1)
    )
    start = content.index(b"IDAT") - 4
    (length,) = struct.unpack_from(">I", content, start)
    data = content[start + 8 : start + 8 + length]
    return b"".join(
        [
            content[:start],
            chunk(b"acTL", struct.pack(">II", 2, 0)),
            first,
            content[start : start + 12 + length],
            second,
            chunk(b"fdAT", struct.pack(">I", 2) + data),
            content[start + 12 + length :],
        ]
    )


def chunk(kind: bytes, body: bytes) -> bytes:
    """Return a PNG chunk with its length, type and CRC."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def write_faces(folder: Path, files: Mapping[str, bytes] | Iterable[str]) -> Path:
    """Write files by name; files without content get small, different images."""
    contents = (
        files
        if isinstance(files, Mapping)
        else {name: noise_png(seed=number) for number, name in enumerate(files)}
    )
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder


def write_labels(path: Path, labels: Mapping[int, str | float]) -> Path:
    """Write a labels file; an undefined label is ``""`` or ``"nan"``."""
    rows = "".join(f"{index},{label}\n" for index, label in labels.items())
    path.write_text(f"index,label\n{rows}")
    return path


def _pack(samples: NDArray[np.int64], depth: int) -> bytes:
    flat = samples.reshape(-1)
    if depth == 16:
        return flat.astype(">u2").tobytes()
    bits = np.unpackbits(flat.astype(np.uint8)[:, np.newaxis], axis=1)[:, 8 - depth :]
    return np.packbits(bits.reshape(-1)).tobytes()
