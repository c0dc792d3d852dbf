"""Tests for glasses_spark.preprocessing.decoding.jpeg."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from glasses_spark.errors import DecodeError
from glasses_spark.preprocessing.decoding.jpeg import decode_full_jpeg, decode_jpeg

# A bright corner tells which way is up.
PICTURE = np.full((60, 90, 3), 40, np.uint8)
PICTURE[:30, :45] = (200, 180, 160)


def jpeg(mode: str = "RGB", orientation: int | None = None, **options: Any) -> bytes:
    image = Image.fromarray(PICTURE).convert(mode)
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    content = io.BytesIO()
    image.save(content, "JPEG", quality=95, exif=exif, **options)
    return content.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("progressive", [False, True])
def test_the_result_is_the_luminance(mode: str, progressive: bool) -> None:
    grey = decode_jpeg(jpeg(mode, progressive=progressive), 30, 45)
    assert grey.dtype == np.uint8
    assert grey.shape == (30, 45)
    luminance = cv2.resize(np.asarray(Image.fromarray(PICTURE).convert("L")), (45, 30))
    assert np.abs(grey.astype(int) - luminance).mean() < 2


@pytest.mark.parametrize(
    ("orientation", "turned"),
    [(1, 0), (3, 2), (6, 3), (8, 1)],
)
def test_a_picture_is_turned_upright(orientation: int, turned: int) -> None:
    grey = decode_jpeg(jpeg(orientation=orientation), 40, 40)
    upright = cv2.resize(
        np.rot90(np.asarray(Image.fromarray(PICTURE).convert("L")), turned), (40, 40)
    )
    assert np.abs(grey.astype(int) - upright).mean() < 2


def test_the_full_picture_has_its_own_size_and_is_upright() -> None:
    full = decode_full_jpeg(jpeg(orientation=6))
    assert full.shape == (90, 60)
    assert np.array_equal(cv2.resize(full, (40, 30)), decode_jpeg(jpeg(orientation=6), 30, 40))


@pytest.mark.parametrize("length", [3, 20, 200, 600])
def test_a_truncated_file_is_an_error(length: int) -> None:
    content = jpeg()
    assert len(content) > length
    with pytest.raises(DecodeError, match="damaged JPEG image data"):
        decode_jpeg(content[:length])


def test_a_huge_picture_is_an_error_before_it_is_decoded() -> None:
    content = jpeg()
    # Height and width are in the frame header.
    at = content.index(b"\xff\xc0") + 5
    huge = content[:at] + b"\x23\x28\x23\x28" + content[at + 4 :]
    with pytest.raises(DecodeError, match="JPEG of 9000 x 9000, more than"):
        decode_jpeg(huge)


def test_another_file_is_an_error() -> None:
    with pytest.raises(DecodeError, match="not a JPEG file"):
        decode_jpeg(b"\x89PNG\r\n\x1a\n")


def test_a_file_of_a_thousand_scans_is_an_error() -> None:
    content = jpeg(progressive=True)
    at = content.index(b"\xff\xda")
    with pytest.raises(DecodeError, match="damaged JPEG: more than 64 scans"):
        decode_jpeg(content[:at] + 1000 * content[at:-2] + content[-2:])
