"""Tests for glasses_spark.preprocessing.decoding.png_file."""

from __future__ import annotations

import struct

import cv2
import numpy as np
import pytest

from glasses_spark.errors import DecodeError
from glasses_spark.preprocessing.decoding.png_file import (
    MAX_PIXELS,
    PNG_SIGNATURE,
    PngFile,
    read_png_file,
)
from tests.faces import GREY, RGB, any_png, chunk


def read(content: bytes) -> PngFile:
    return read_png_file(memoryview(content))


def header(width: int, height: int) -> bytes:
    return PNG_SIGNATURE + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, RGB, 0, 0, 0))


def test_the_signature_is_that_of_the_standard() -> None:
    assert bytes([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) == PNG_SIGNATURE


def test_header_and_chunks_are_read() -> None:
    text = chunk(b"tEXt", b"Comment\0hello")

    file = read(any_png(9, 7, colour=GREY, depth=16, interlaced=True, extra=[text]) + b"more")

    assert (file.width, file.height, file.depth, file.colour) == (7, 9, 16, GREY)
    assert file.methods == b"\0\0\1"
    assert file.kinds == (b"IHDR", b"tEXt", b"IDAT", b"IEND")
    assert file.longest == len(file.data[0])


def test_consecutive_chunks_of_image_data_count_once() -> None:
    data = chunk(b"IDAT", b"ab") + chunk(b"IDAT", b"c")

    file = read(header(4, 4) + data + chunk(b"IEND", b""))

    assert file.kinds == (b"IHDR", b"IDAT", b"IEND")
    assert [bytes(part) for part in file.data] == [b"ab", b"c"]


def test_an_image_of_the_largest_size_is_accepted() -> None:
    file = read(header(MAX_PIXELS, 1) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))

    assert file.width * file.height == MAX_PIXELS


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(b"", "empty file", id="empty"),
        pytest.param(b"no image", r"not a PNG file \(starts with b'no image'\)", id="text"),
        pytest.param(
            cv2.imencode(".jpg", np.zeros((8, 8), np.uint8))[1].tobytes(),
            r"not a PNG file \(starts with b'\\xff\\xd8",
            id="JPEG",
        ),
        pytest.param(
            cv2.imencode(".jp2", np.zeros((64, 64), np.uint8))[1].tobytes(),
            r"not a PNG file",
            id="JPEG 2000",
        ),
        pytest.param(PNG_SIGNATURE, "truncated PNG file", id="only the signature"),
        pytest.param(
            header(4, 4) + chunk(b"IEND", b""), "PNG without image data", id="no image data"
        ),
        pytest.param(
            PNG_SIGNATURE + chunk(b"IDAT", b"") + chunk(b"IEND", b""),
            "PNG without a header",
            id="no header",
        ),
        pytest.param(header(0, 4), "PNG of 0 x 4 pixels", id="no pixels"),
        pytest.param(
            header(2**31 - 1, 2**31 - 1) + chunk(b"IDAT", b"") + chunk(b"IEND", b""),
            "PNG of 2147483647 x 2147483647 pixels, more than 67108864 in all",
            id="too large",
        ),
        pytest.param(
            PNG_SIGNATURE + b"\xff\xff\xff\xff" + b"IHDR" + bytes(40),
            "truncated PNG file",
            id="chunk longer than the file",
        ),
    ],
)
def test_an_invalid_file_is_an_error_with_a_reason(content: bytes, reason: str) -> None:
    with pytest.raises(DecodeError, match=reason):
        read(content)
