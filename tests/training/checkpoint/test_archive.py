"""Tests for glasses_spark.training.checkpoint.archive."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from glasses_spark.errors import DataError
from glasses_spark.training.checkpoint.archive import read_archive, write_archive

ARRAYS: dict[str, npt.NDArray[Any]] = {
    "weights": np.arange(6, dtype=np.float32).reshape(2, 3),
    "steps": np.int64(7).reshape(()),
    "empty": np.zeros((0, 4), np.float64),
    "flags": np.array([True, False]),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "checkpoint.zip"


def test_a_checkpoint_is_read_as_it_was_written(path: Path) -> None:
    write_archive(path, {"epoch": 3, "best": float("inf")}, ARRAYS)
    manifest, arrays = read_archive(path)
    assert manifest == {"epoch": 3, "best": float("inf")}
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        assert np.array_equal(arrays[name], array)


def forge(path: Path, described: Any, data: bytes = b"", *, compression: int = 0) -> None:
    with zipfile.ZipFile(path, "w", compression) as file:
        file.writestr("manifest.json", json.dumps({"arrays": described}))
        file.writestr("arrays/x", data)


@pytest.mark.parametrize(
    ("described", "reason"),
    [
        ({"x": {"dtype": "O", "shape": [1]}}, "expected an array of numbers"),
        ({"x": {"dtype": "<U4", "shape": [1]}}, "expected an array of numbers"),
        ({"x": {"dtype": "float32", "shape": [-1]}}, "expected an array of numbers"),
        ({"x": {"dtype": "float32", "shape": [2]}}, "expected 8 bytes, got 4"),
        ({"x": {"dtype": "float32", "shape": [2**40, 2**40]}}, "expected .* bytes, got 4"),
        ({"x": {"dtype": "uint8", "shape": [1]}}, "expected at most 1 bytes"),
        ({"y": {"dtype": "float32", "shape": [1]}}, "no item named"),
        ({"x": {"dtype": "nonsense", "shape": [1]}}, "nonsense"),
        ({"x": {"shape": [1]}}, "dtype"),
        ([], "items"),
    ],
)
def test_a_forged_array_is_refused(path: Path, described: Any, reason: str) -> None:
    forge(path, described, b"abcd")
    with pytest.raises(DataError, match=reason):
        read_archive(path)


def test_a_compressed_entry_is_refused(path: Path) -> None:
    described = {"x": {"dtype": "uint8", "shape": [1 << 20]}}
    forge(path, described, bytes(1 << 20), compression=zipfile.ZIP_DEFLATED)
    with pytest.raises(DataError, match=r"checkpoint\.zip is no checkpoint"):
        read_archive(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive", bytes(200)])
def test_other_files_are_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"checkpoint\.zip is no checkpoint"):
        read_archive(path)


def test_a_damaged_array_is_refused(path: Path) -> None:
    write_archive(path, {}, {"x": np.zeros(1000)})
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="CRC"):
        read_archive(path)
