"""File names: what a saved stage is by the suffix of its path."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from glasses_spark.errors import ScoringError
from glasses_spark.runtime.location import is_remote, local_folder, local_path

HDF5: Final = (".h5", ".hdf5")
KERAS: Final = ".keras"

# Formats that users may expect by the name, and would not get.
_NOT_WRITTEN: Final = (
    *(".weights.h5", ".keras.zip", ".zip", ".tar", ".gz", ".tgz", ".7z"),
    *(".pb", ".savedmodel", ".onnx", ".tflite", ".mlmodel", ".pt", ".pth", ".safetensors"),
    *(".pkl", ".pickle", ".joblib", ".npz", ".npy", ".json", ".yaml", ".yml", ".xml"),
    *(".hdf", ".he5", ".ckpt", ".tf", ".orbax", ".parquet"),
)


def file_to_write(path: str) -> Path | None:
    """Return the local file to which a stage is saved; None for a Spark ML folder.

    Args:
        path: Path or URI. ``.h5``, ``.hdf5`` and ``.keras`` are files.

    Raises:
        ScoringError: The suffix is that of a format that is not written, or the file is not
            on a local disk.
    """
    lower = path.lower()
    suffix = next((each for each in _NOT_WRITTEN if lower.endswith(each)), "")
    if suffix:
        raise ScoringError(
            f"{path}: cannot save as {suffix}. Use .keras or .h5, or a name without a suffix for "
            "a Spark ML folder"
        )
    if not lower.endswith((*HDF5, KERAS)):
        return None
    if not path.endswith((*HDF5, KERAS)):
        raise ScoringError(
            f"{path}: Keras and Elephas read this format only by a suffix in lower case. Use "
            f"{path[: path.rindex('.')]}{lower[path.rindex('.') :]}"
        )
    if is_remote(path):
        raise ScoringError(
            f"{path}: {_format_of(path)} file can only be saved to a local disk. Use a local path, "
            "or a folder without this suffix, which may be at any URI"
        )
    return local_folder(path)


def file_to_read(path: str) -> Path | None:
    """Return the local file that holds a stage; None for a Spark ML folder.

    Args:
        path: Path or URI. Earlier versions wrote folders with any suffix but those of HDF5.

    Raises:
        ScoringError: It is the name of a file, and there is none.
    """
    found = local_path(path)
    if found is not None:
        return found if found.is_file() else None
    if path.endswith(HDF5) or (path.endswith(KERAS) and not is_remote(path)):
        raise ScoringError(f"{path}: expected a saved model, but the file does not exist")
    return None


def require_folder(path: str) -> None:
    """Refuse to write a Spark ML folder under the name of a file.

    Raises:
        ScoringError: The path has the suffix of a file.
    """
    if file_to_write(path) is not None:
        raise ScoringError(
            f"{path}: write() writes a Spark ML folder, not {_format_of(path)} file. Use save(), "
            "or a name without a suffix"
        )


def _format_of(path: str) -> str:
    return "a Keras" if path.endswith(KERAS) else "an HDF5"
