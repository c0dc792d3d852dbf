"""Tests for glasses_spark.preprocessing.decoding.fast_png, against OpenCV."""

from __future__ import annotations

import functools
import struct
import subprocess
import sys
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from glasses_spark.errors import DecodeError
from glasses_spark.preprocessing.decoding import fast_png
from glasses_spark.preprocessing.decoding.decode import decode
from glasses_spark.preprocessing.decoding.png_file import PNG_SIGNATURE, read_png_file
from tests.faces import (
    GREY,
    GREY_ALPHA,
    PALETTE,
    RGB,
    RGBA,
    SAMPLES,
    any_png,
    chunk,
    encode_png,
)

Pixels = NDArray[np.uint8]

FAST_COLOURS = [GREY, RGB, RGBA]
PAETH = 4
FILTERS = [0, 1, 2, 3, PAETH]

TEXT = chunk(b"tEXt", b"Software\0a camera")
IGNORED = {
    "tEXt": TEXT,
    "malformed tEXt": chunk(b"tEXt", b"\xff" * 300),
    "2,000 tEXt": TEXT * 2000,
    "tIME": chunk(b"tIME", bytes([7, 230, 1, 1, 1, 1, 1])),
    "pHYs": chunk(b"pHYs", struct.pack(">IIB", 2835, 2835, 1)),
}
AFFECTING = {
    "gAMA": chunk(b"gAMA", struct.pack(">I", 45455)),
    "linear gAMA": chunk(b"gAMA", struct.pack(">I", 100000)),
    "sRGB": chunk(b"sRGB", b"\0"),
    "cHRM": chunk(
        b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    ),
    "iCCP": chunk(b"iCCP", b"profile\0\0" + zlib.compress(bytes(200))),
    "tRNS": chunk(b"tRNS", bytes(6)),
    "sBIT": chunk(b"sBIT", b"\x05\x06\x05"),
    "bKGD": chunk(b"bKGD", bytes(6)),
    "eXIf": chunk(b"eXIf", bytes.fromhex("4d4d002a00000008000101120003000000010006000000000000")),
    "acTL": chunk(b"acTL", struct.pack(">II", 1, 0)),
    "PLTE": chunk(b"PLTE", bytes(30)),
    "unknown": chunk(b"abCd", b"?"),
}

needs_accelerators = pytest.mark.skipif(
    not fast_png.AVAILABLE, reason="isal and kornia-rs are not installed"
)


def opencv(content: bytes, height: int = 128, width: int = 128) -> Pixels | None:
    """Return the pixels from OpenCV; None if it rejects the file."""
    try:
        grey = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    except cv2.error:
        return None
    return None if grey is None else cv2.resize(grey, (width, height))


def decoded_or_none(content: bytes, height: int = 128, width: int = 128) -> Pixels | None:
    try:
        return decode(content, height, width)
    except DecodeError:
        return None


def fast(content: bytes, height: int = 128, width: int = 128) -> Pixels | None:
    return fast_png.decode_fast(read_png_file(memoryview(content)), height, width)


def assert_same(actual: Pixels | None, expected: Pixels | None) -> None:
    assert (actual is None) == (expected is None)
    if actual is not None and expected is not None:
        np.testing.assert_array_equal(actual, expected)


def assert_fast_and_same(content: bytes, height: int = 128, width: int = 128) -> None:
    pixels = fast(content, height, width)
    assert pixels is not None
    assert_same(pixels, opencv(content, height, width))


def rows_of(
    rng: np.random.Generator, height: int, width: int, colour: int, filters: list[int]
) -> bytes:
    """Return random rows as in a file: a filter and bytes. Any bytes are a valid image."""
    rows = rng.integers(0, rng.choice([4, 256]), (height, 1 + width * SAMPLES[colour]))
    rows[:, 0] = rng.choice(filters, height)
    return rows.astype(np.uint8).tobytes()


def png_of(
    data: bytes,
    height: int,
    width: int,
    colour: int = RGB,
    *,
    pieces: int = 1,
    before: bytes = b"",
    between: bytes = b"",
    after: bytes = b"",
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0)
    step = max(1, -(-len(data) // pieces))
    parts = [chunk(b"IDAT", data[start : start + step]) for start in range(0, len(data), step)]
    image = between.join(parts) or chunk(b"IDAT", b"")
    return b"".join(
        [PNG_SIGNATURE, chunk(b"IHDR", header), before, image, after, chunk(b"IEND", b"")]
    )


@needs_accelerators
@pytest.mark.parametrize("filters", [*([number] for number in FILTERS), FILTERS], ids=str)
@pytest.mark.parametrize("colour", FAST_COLOURS)
def test_every_filter_is_reversed_as_by_opencv(colour: int, filters: list[int]) -> None:
    rng = np.random.default_rng(0)
    for height, width in [(1, 1), (1, 9), (7, 1), (64, 48), (131, 257), (256, 256)]:
        rows = rows_of(rng, height, width, colour, filters)
        content = png_of(zlib.compress(rows), height, width, colour, pieces=3)
        assert_fast_and_same(content, height, width)  # not resized, so that every pixel is compared
        assert_same(decode(content), opencv(content))


@needs_accelerators
def test_all_16_million_colours_have_the_grey_of_opencv() -> None:
    low = np.arange(2**20, dtype=np.uint32).reshape(1024, 1024)
    for high in range(16):
        colours = low | high << 20
        image = np.stack([colours >> shift & 255 for shift in (0, 8, 16)], axis=2)
        content = encode_png(image.astype(np.uint8))
        assert_fast_and_same(content, 1024, 1024)


@needs_accelerators
def test_a_large_image_written_by_opencv_takes_the_fast_path() -> None:
    rng = np.random.default_rng(0)
    face = cv2.GaussianBlur(rng.integers(0, 256, (1024, 1024, 3), dtype=np.uint8), (0, 0), 2)
    content = cv2.imencode(".png", face, [cv2.IMWRITE_PNG_COMPRESSION, 6])[1].tobytes()
    assert_fast_and_same(content)


@needs_accelerators
@pytest.mark.parametrize("columns", range(1, 10))
@pytest.mark.parametrize("rows", range(1, 10))
def test_shrinking_by_a_whole_number_gives_the_pixels_of_opencv(rows: int, columns: int) -> None:
    rng = np.random.default_rng(10 * rows + columns)
    for height, width in [(1, 1), (2, 3), (31, 33), (50, 49)]:
        size = (height * rows, width * columns)
        content = png_of(zlib.compress(rows_of(rng, *size, RGB, FILTERS)), *size)
        assert_fast_and_same(content, height, width)


@needs_accelerators
@pytest.mark.parametrize("size", [(1, 1), (3, 5), (100, 128), (128, 1000), (255, 257), (300, 40)])
def test_any_other_resize_gives_the_pixels_of_opencv(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    content = png_of(zlib.compress(rows_of(rng, *size, RGBA, FILTERS)), *size, RGBA)
    for height, width in [(128, 128), (1, 1), (7, 300), (size[0], 2), (2, size[1])]:
        assert_fast_and_same(content, height, width)


@needs_accelerators
@pytest.mark.parametrize("position", ["before", "after"])
@pytest.mark.parametrize("kind", IGNORED)
def test_chunks_that_do_not_affect_pixels_are_ignored(kind: str, position: str) -> None:
    rows = rows_of(np.random.default_rng(0), 40, 60, RGB, FILTERS)
    extra = {"before": b"", "after": b"", position: IGNORED[kind]}
    content = png_of(zlib.compress(rows), 40, 60, before=extra["before"], after=extra["after"])
    assert_fast_and_same(content)


@functools.cache
def odd_files() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    rows = rows_of(rng, 40, 60, RGB, FILTERS)
    data = zlib.compress(rows)
    small_window = zlib.compressobj(wbits=9)
    padding = bytes(8_000_001 - len(data))
    header = struct.pack(">IIBBBBB", 60, 40, 8, RGB, 0, 0, 0)
    wide = rows_of(rng, 2, 4097, RGB, FILTERS)
    return {
        **{kind: png_of(data, 40, 60, before=extra) for kind, extra in AFFECTING.items()},
        "gAMA at the end": png_of(data, 40, 60, after=AFFECTING["gAMA"]),
        "two headers": png_of(data, 40, 60, before=chunk(b"IHDR", header)),
        "text between the data": png_of(data, 40, 60, pieces=2, between=TEXT),
        "palette": any_png(40, 60, colour=PALETTE),
        "grey and alpha": any_png(40, 60, colour=GREY_ALPHA),
        "16 bits": any_png(40, 60, depth=16),
        "1 bit": any_png(40, 60, colour=GREY, depth=1),
        "interlaced": any_png(40, 60, interlaced=True),
        "small window": png_of(small_window.compress(rows) + small_window.flush(), 40, 60),
        "too many rows": png_of(zlib.compress(rows + bytes(1)), 40, 60),
        "4097 columns": png_of(zlib.compress(wide), 2, 4097),
        "8 MB chunk": png_of(data + padding, 40, 60),
    }


@pytest.mark.parametrize("kind", odd_files())
def test_unusual_files_are_left_to_opencv(kind: str) -> None:
    content = odd_files()[kind]

    assert fast(content) is None
    assert_same(decoded_or_none(content), opencv(content))


@functools.cache
def damaged_data() -> dict[str, bytes]:
    """Return damaged image data, to be put into valid chunks."""
    rows = rows_of(np.random.default_rng(0), 40, 60, RGB, FILTERS)
    data = zlib.compress(rows)
    # Declares a window of 512 bytes, but refers further back, to the first 20 rows.
    far = bytearray(zlib.compress(rows[: len(rows) // 2] * 2, 9))
    far[:2] = struct.pack(">H", 0x1800 + -0x1800 % 31)
    filters = bytearray(rows)
    filters[0] = 5
    return {
        "checksum": data[:-1] + bytes([data[-1] ^ 1]),
        "no checksum": data[:-4],
        "no end": data[:-8],
        "rows missing": zlib.compress(rows[:-1]),
        "no data": b"",
        "filter 5": zlib.compress(bytes(filters)),
        "far beyond the window": bytes(far),
        "not deflate": bytes(range(100)),
        # Inflates without an error, but to other pixels: only the checksum shows it.
        "one pixel": zlib.compress(rows, 0)[:5000] + b"!" + zlib.compress(rows, 0)[5001:],
    }


@pytest.mark.parametrize("kind", damaged_data())
def test_data_that_opencv_rejects_is_an_error(kind: str) -> None:
    content = png_of(damaged_data()[kind], 40, 60)

    assert opencv(content) is None
    with pytest.raises(DecodeError, match="damaged PNG image data"):
        decode(content)


@pytest.mark.slow
@needs_accelerators
def test_random_files_give_the_result_of_opencv() -> None:
    rng = np.random.default_rng(4)
    count, taken, rejected = 800, 0, 0
    extras = [b"", b"", *IGNORED.values(), *AFFECTING.values()]
    for _ in range(count):
        height, width = (int(n) for n in rng.integers(1, 40, 2))
        size = (height, width)
        if rng.random() < 0.5:
            size = (height * int(rng.integers(1, 9)), width * int(rng.integers(1, 9)))
        colour = int(rng.choice(FAST_COLOURS))
        packer = zlib.compressobj(
            int(rng.integers(0, 10)),
            wbits=int(rng.choice([9, 15, 15])),
            strategy=rng.integers(0, 5),
        )
        data = bytearray(packer.compress(rows_of(rng, *size, colour, FILTERS)) + packer.flush())
        damage = rng.choice(["none", "none", "none", "flip", "cut", "append"])
        if damage == "flip":
            data[rng.integers(0, len(data))] ^= 1 << int(rng.integers(0, 8))
        elif damage == "cut":
            del data[-int(rng.integers(1, min(30, len(data)))) :]
        elif damage == "append":
            data += rng.bytes(int(rng.integers(1, 30)))
        content = png_of(
            bytes(data),
            *size,
            colour,
            pieces=int(rng.integers(1, 6)),
            before=extras[rng.integers(0, len(extras))] if rng.random() < 0.4 else b"",
        )
        expected = opencv(content, height, width)
        taken += fast(content, height, width) is not None
        rejected += expected is None

        assert_same(decoded_or_none(content, height, width), expected)

    # Half of the files are undamaged; some of them have another window or an affecting chunk.
    assert taken > count / 4
    assert rejected > count / 6


@needs_accelerators
def test_data_larger_than_declared_do_not_use_memory() -> None:
    content = png_of(zlib.compress(bytes(50_000_000), 9), 10, 10)
    file = read_png_file(memoryview(content))
    tracemalloc.start()
    try:
        decoded = fast_png.decode_fast(file, 10, 10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert decoded is None
    assert peak < 1_000_000


@pytest.mark.parametrize("missing", ["isal", "kornia_rs"])
def test_the_pixels_are_the_same_without_an_accelerator(missing: str) -> None:
    rows = rows_of(np.random.default_rng(0), 256, 256, RGB, FILTERS)
    content = png_of(zlib.compress(rows), 256, 256)
    script = f"""
import sys
sys.modules[{missing!r}] = None  # as if it were not installed
from glasses_spark.preprocessing.decoding import decode, fast_png
assert not fast_png.AVAILABLE
sys.stdout.buffer.write(decode.decode(sys.stdin.buffer.read()).tobytes())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], input=content, capture_output=True, check=True
    )

    assert done.stdout == decode(content).tobytes()
