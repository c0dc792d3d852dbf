"""Tests for glasses_spark.preprocessing.decoding.decode."""

from __future__ import annotations

import re
import struct
import zlib

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from glasses_spark.errors import DecodeError
from glasses_spark.preprocessing.decoding.decode import decode
from glasses_spark.preprocessing.decoding.png_file import PNG_SIGNATURE
from tests.faces import (
    GREY,
    GREY_ALPHA,
    PALETTE,
    RGB,
    RGBA,
    any_png,
    chunk,
    encode_png,
    noise_png,
)

KINDS = [
    *((GREY, depth) for depth in (1, 2, 4, 8, 16)),
    *((PALETTE, depth) for depth in (1, 2, 4, 8)),
    *((colour, depth) for colour in (RGB, GREY_ALPHA, RGBA) for depth in (8, 16)),
]
SIZES = [(1, 1), (1, 7), (9, 1), (13, 17), (128, 128), (200, 131)]


def opencv(content: bytes, height: int = 128, width: int = 128) -> NDArray[np.uint8]:
    grey = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    resized: NDArray[np.uint8] = cv2.resize(grey, (width, height))
    return resized


def header(width: int, height: int) -> bytes:
    return PNG_SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, RGB, 0, 0, 0))


@pytest.mark.parametrize("interlaced", [False, True], ids=["rows", "interlaced"])
@pytest.mark.parametrize(("colour", "depth"), KINDS)
def test_every_kind_of_png_decodes_as_opencv_does(
    colour: int, depth: int, interlaced: bool
) -> None:
    for seed, (height, width) in enumerate(SIZES):
        content = any_png(
            height, width, colour=colour, depth=depth, interlaced=interlaced, seed=seed
        )
        decoded = decode(content)

        assert decoded.shape == (128, 128)
        assert decoded.dtype == np.uint8
        np.testing.assert_array_equal(decoded, opencv(content))


@pytest.mark.parametrize(("size", "level"), [(64, 9), (255, 3), (256, 0), (257, 9), (1024, 1)])
def test_files_written_by_opencv_decode_as_opencv_does(size: int, level: int) -> None:
    rng = np.random.default_rng(size)
    face = cv2.GaussianBlur(rng.integers(0, 256, (size, size, 3), dtype=np.uint8), (0, 0), 3)
    content = cv2.imencode(".png", face, [cv2.IMWRITE_PNG_COMPRESSION, level])[1].tobytes()

    np.testing.assert_array_equal(decode(content), opencv(content))


def test_height_and_width_are_not_swapped() -> None:
    content = noise_png(40, 60)

    decoded = decode(content, 20, 50)

    assert decoded.shape == (20, 50)
    np.testing.assert_array_equal(decoded, opencv(content, 20, 50))


def test_black_is_0_and_white_is_255() -> None:
    assert (decode(encode_png(np.zeros((5, 5), np.uint8))) == 0).all()
    assert (decode(encode_png(np.full((5, 5, 3), 255, np.uint8))) == 255).all()


def test_a_view_decodes_like_the_bytes() -> None:
    content = noise_png()

    np.testing.assert_array_equal(decode(memoryview(content)), decode(content))


def test_metadata_chunks_and_bytes_after_the_end_are_ignored() -> None:
    content = any_png(9, 9, extra=[chunk(b"tEXt", b"Comment\0hello")])

    np.testing.assert_array_equal(decode(content + b"more"), opencv(content))


@pytest.mark.parametrize("content", [noise_png(), noise_png(200, 200)], ids=["small", "large"])
def test_a_file_truncated_anywhere_is_an_error(content: bytes) -> None:
    step = max(1, len(content) // 500)
    cuts = {*range(1, len(content), step), *range(len(content) - 20, len(content))}
    reasons = set()
    for cut in sorted(cuts):
        with pytest.raises(DecodeError) as error:
            decode(content[:cut])
        reasons.add(str(error.value).split(" (")[0])

    assert reasons == {"not a PNG file", "truncated PNG file"}


def test_a_flipped_bit_anywhere_is_an_error() -> None:
    content = noise_png()
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 0x10
        with pytest.raises(DecodeError):
            decode(bytes(damaged))


def test_image_data_that_ends_early_is_an_error() -> None:
    rows = b"".join(b"\0" + bytes(3 * 32) for _ in range(16))  # 16 of 32 rows
    for data in (zlib.compress(rows), zlib.compress(rows * 2)[:-12], b""):
        content = header(32, 32) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
        with pytest.raises(DecodeError, match="damaged PNG image data"):
            decode(content)


def test_opencv_decodes_only_valid_png_files() -> None:
    for suffix in (".jpg", ".jp2"):
        content = cv2.imencode(suffix, np.zeros((64, 64), np.uint8))[1].tobytes()
        assert cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE) is not None
        with pytest.raises(DecodeError, match="not a PNG file"):
            decode(content)


@pytest.mark.parametrize(
    ("returned", "found"),
    [
        (np.zeros((9, 9), np.uint16), "uint16 of shape (128, 128)"),
        (np.zeros((9, 9, 3), np.uint8), "uint8 of shape (128, 128, 3)"),
    ],
    ids=["depth", "channels"],
)
def test_pixels_that_are_not_8_bit_grey_are_an_error(
    monkeypatch: pytest.MonkeyPatch, returned: NDArray[np.generic], found: str
) -> None:
    # As OpenCV 4.11 does for animations of 16 bits, which it no longer gets.
    monkeypatch.setattr(cv2, "imdecode", lambda *_: returned)
    content = any_png(9, 9, colour=GREY, depth=8, interlaced=True, seed=0)
    with pytest.raises(DecodeError, match=re.escape(f"decoded to {found}, not to 8-bit grey")):
        decode(content)
