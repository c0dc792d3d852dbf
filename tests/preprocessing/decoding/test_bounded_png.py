"""Tests for glasses_spark.preprocessing.decoding.bounded_png."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from glasses_spark.errors import DecodeError
from glasses_spark.preprocessing.decoding.bounded_png import bounded_png, image_bytes
from glasses_spark.preprocessing.decoding.decode import decode
from glasses_spark.preprocessing.decoding.png_file import (
    MAX_CHUNKS,
    PNG_SIGNATURE,
    iterate_chunks,
    read_png_file,
)
from tests.faces import GREY, RGB, RGBA, animated_png, any_png, chunk
from tests.preprocessing.decoding.test_decode import KINDS, SIZES

ROWS = b"".join(b"\0" + bytes(3 * 16) for _ in range(16))


def opencv(content: bytes | memoryview) -> NDArray[np.uint8]:
    grey: NDArray[np.uint8] = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    return grey


def bomb(megabytes: int) -> bytes:
    """Return ROWS and so many megabytes of zeros, compressed."""
    packer = zlib.compressobj(9)
    parts = [packer.compress(ROWS), *(packer.compress(bytes(2**20)) for _ in range(megabytes))]
    return b"".join([*parts, packer.flush()])


def small_png(data: bytes, *, depth: int = 8, extra: bytes = b"") -> bytes:
    """Return a PNG file of 16 x 16 pixels with these image data."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 16, depth, RGB, 0, 0, 0))
    return PNG_SIGNATURE + header + extra + chunk(b"IDAT", data) + chunk(b"IEND", b"")


@pytest.mark.parametrize("interlaced", [False, True], ids=["rows", "interlaced"])
@pytest.mark.parametrize(("colour", "depth"), KINDS)
def test_every_kind_of_png_has_the_same_pixels_without_compression(
    colour: int, depth: int, interlaced: bool
) -> None:
    for seed, (height, width) in enumerate(SIZES):
        content = any_png(
            height, width, colour=colour, depth=depth, interlaced=interlaced, seed=seed
        )
        file = read_png_file(memoryview(content))

        bounded = bounded_png(file, memoryview(content), surplus=-(2**40))

        size = sum(
            len(body) for kind, body in iterate_chunks(memoryview(bounded)) if kind == b"IDAT"
        )
        assert size > (image_bytes(file) or 0)
        np.testing.assert_array_equal(opencv(bounded), opencv(content))


def test_compressed_texts_are_left_out_and_all_else_is_kept() -> None:
    gamma, text = chunk(b"gAMA", struct.pack(">I", 30000)), zlib.compress(bytes(100))
    content = any_png(
        9, 9, extra=[gamma, chunk(b"zTXt", b"x\0\0" + text), chunk(b"iTXt", b"y\0\1\0\0\0" + text)]
    )

    bounded = bounded_png(read_png_file(memoryview(content)), memoryview(content))

    assert bounded == any_png(9, 9, extra=[gamma])


@pytest.mark.parametrize("depth", [8, 16])
def test_far_more_image_data_than_the_image_has_are_an_error(depth: int) -> None:
    with pytest.raises(DecodeError, match=r"more image data than the .* 16 x 16 pixels have"):
        decode(small_png(bomb(80), depth=depth))


def test_other_surplus_image_data_decode_as_opencv_does() -> None:
    content = small_png(bomb(3))

    np.testing.assert_array_equal(decode(content, 16, 16), opencv(content))


def test_many_compressed_texts_do_not_matter() -> None:
    # libpng would inflate 1,000 of them, 8 GB in all.
    text = chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(7_900_000), 9))

    assert (decode(small_png(zlib.compress(ROWS), extra=text * 1000)) == 0).all()


def test_a_file_of_millions_of_chunks_is_an_error() -> None:
    content = small_png(zlib.compress(ROWS), extra=chunk(b"tEXt", b"") * (MAX_CHUNKS + 1))

    with pytest.raises(DecodeError, match="in more than 500000 chunks"):
        decode(content)


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("colour", [GREY, RGB, RGBA])
def test_an_animation_is_its_still_image(colour: int, depth: int) -> None:
    # OpenCV returns 16-bit pixels of some animations, and damaged ones can crash it.
    still = any_png(16, 16, colour=colour, depth=depth)

    assert (decode(animated_png(still)) == decode(still)).all()
