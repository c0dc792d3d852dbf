"""Archive: a checkpoint as one file, a ZIP archive of numbers without code.

The entry ``manifest.json`` describes the fit and the arrays, and each array is an entry of raw
bytes. Nothing is compressed, so that no entry is larger than the file.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from glasses_spark.errors import DataError

Arrays = Mapping[str, npt.NDArray[Any]]

_MANIFEST: Final = "manifest.json"
_ARRAYS: Final = "arrays"

# The history of a long fit fits into it many times.
MAX_MANIFEST_BYTES: Final = 256 << 20

# What bytes of somebody else can raise.
_ERRORS: Final = (
    *(zipfile.BadZipFile, KeyError, TypeError, ValueError, AttributeError, OSError),
    *(EOFError, NotImplementedError, RecursionError, RuntimeError),
)

# NumPy types of the arrays: numbers, and nothing that refers to objects.
_KINDS: Final = "biuf"


def write_archive(path: Path, manifest: Mapping[str, Any], arrays: Arrays) -> None:
    """Write a checkpoint.

    Args:
        path: File to write.
        manifest: Description of the fit, as JSON has it.
        arrays: Arrays of numbers by name.
    """
    described = {
        name: {"dtype": str(array.dtype), "shape": list(array.shape)}
        for name, array in arrays.items()
    }
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as file:
        file.writestr(_MANIFEST, json.dumps({**manifest, _ARRAYS: described}))
        for name, array in arrays.items():
            with file.open(f"{_ARRAYS}/{name}", "w", force_zip64=True) as entry:
                entry.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def read_archive(path: Path) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Read a checkpoint.

    Args:
        path: A file that `write_archive` has written.

    Returns:
        The manifest and the arrays.

    Raises:
        DataError: The file is damaged, or is no checkpoint.
    """
    try:
        with zipfile.ZipFile(path) as file:
            # Entries that share bytes could hold more than the file does.
            if sum(entry.file_size for entry in file.infolist()) > path.stat().st_size:
                raise ValueError("its entries overlap")
            manifest = json.loads(_read(file, _MANIFEST, MAX_MANIFEST_BYTES))
            arrays = {
                name: _read_array(file, name, **described)
                for name, described in manifest.pop(_ARRAYS).items()
            }
    except _ERRORS as error:
        raise DataError(f"{path.name} is no checkpoint: {error}") from error
    return manifest, arrays


def _read(file: zipfile.ZipFile, name: str, longest: int) -> bytes:
    entry = file.getinfo(name)
    if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > longest:
        raise ValueError(
            f"{name}: expected at most {longest} bytes that are not compressed, got "
            f"{entry.file_size}"
        )
    return file.read(entry)


def _read_array(
    file: zipfile.ZipFile, name: str, *, dtype: str, shape: list[int]
) -> npt.NDArray[Any]:
    kind = np.dtype(dtype)
    if kind.kind not in _KINDS or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError(f"{name}: expected an array of numbers, got {dtype} {shape}")
    # Python's integers, which do not overflow.
    size = kind.itemsize
    for side in shape:
        size *= side
    data = _read(file, f"{_ARRAYS}/{name}", size)
    if len(data) != size:
        raise ValueError(f"{name}: expected {size} bytes, got {len(data)}")
    return np.frombuffer(data, kind).reshape(shape)
