"""Storage: weights and metadata of a saved Spark ML stage, at any path or URI.

The driver writes and reads them, in Spark's own format. A Spark task would use the disk
of its own machine. Under Spark Connect, whose driver is out of reach, Spark's own writers and
readers do it, in the same format.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from glasses_spark.errors import ScoringError
from glasses_spark.runtime import hadoop
from glasses_spark.runtime.connect import is_connect
from glasses_spark.runtime.owned_folder import owned_folder
from glasses_spark.scoring import connect_storage

SCHEMA: Final = pa.schema(
    [
        ("place", pa.int32()),
        ("dtype", pa.string()),
        ("shape", pa.list_(pa.int32())),
        ("numbers", pa.binary()),
    ]
)
# The only types that are loaded, so that a file cannot contain objects with code.
FLOATS_AND_BOOL: Final = ("float16", "float32", "float64", "bool")
INTEGERS: Final = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))

# Of a stranger's file, whose few bytes may stand for any number of rows and of zeros.
_MOST_WEIGHTS: Final = connect_storage.MOST_ROWS
_MOST_NUMBERS: Final = 1 << 28  # bytes, and more in larger files:
_MOST_TIMES_LARGER: Final = 100  # than the file; Snappy packs zeros to a twentieth
_ROWS_AT_A_TIME: Final = 16

_ARCHIVE: Final = "model.keras"
# Column of a Parquet file with the archive, which is what Spark Connect can write.
_CONTENT: Final = "content"

Arrays = Sequence[npt.NDArray[Any]]


def write_weights(spark: SparkSession, path: str, weights: Arrays) -> None:
    """Write weights to a new folder, one row per weight.

    Raises:
        ScoringError: The folder exists or cannot be written.
    """
    rows = [
        {
            "place": index,
            "dtype": str(array.dtype),
            "shape": list(array.shape),
            "numbers": np.ascontiguousarray(array).tobytes(),
        }
        for index, array in enumerate(weights)
    ]
    table = pa.Table.from_pylist(rows, SCHEMA)
    if is_connect(spark):
        return connect_storage.write_table(spark, path, table)
    with _new_folder(spark, path) as folder:
        pq.write_table(table, folder / "part-00000.parquet")
    return None


def read_weights(spark: SparkSession, path: str) -> list[npt.NDArray[Any]]:
    """Read weights that `write_weights` has written.

    Raises:
        ScoringError: The folder cannot be read, or a row is not a valid weight.
    """
    if is_connect(spark):
        keys = [name for name in SCHEMA.names if name != "numbers"]
        rows = connect_storage.read_table(spark, path, keys=keys, content="numbers")
    else:
        with _local_copy(spark, path) as folder:
            rows = _read_rows(path, folder)
    return [_array(path, row) for row in sorted(rows, key=lambda row: int(row["place"]))]


def write_archive(spark: SparkSession, path: str, archive: bytes) -> None:
    """Write a model's ``.keras`` file to a new folder.

    Raises:
        ScoringError: The folder exists or cannot be written.
    """
    if is_connect(spark):
        table = pa.table({"place": pa.array([0], pa.int32()), _CONTENT: [archive]})
        return connect_storage.write_table(spark, path, table)
    with _new_folder(spark, path) as folder:
        (folder / _ARCHIVE).write_bytes(archive)
    return None


def read_archive(spark: SparkSession, path: str) -> bytes | None:
    """Read a model's ``.keras`` file; None if the stage has none.

    Raises:
        ScoringError: The folder cannot be read.
    """
    if not hadoop.exists(spark, path):
        return None
    if is_connect(spark):
        if hadoop.exists(spark, f"{path}/{_ARCHIVE}"):
            return connect_storage.read_file(spark, f"{path}/{_ARCHIVE}")
        rows = connect_storage.read_table(spark, path, keys=["place"], content=_CONTENT)
        return bytes(rows[0][_CONTENT])
    with _local_copy(spark, path) as folder:
        if (folder / _ARCHIVE).exists():
            return (folder / _ARCHIVE).read_bytes()
        return bytes(pq.read_table(folder).column(_CONTENT)[0].as_py())


def write_metadata(spark: SparkSession, path: str, metadata: str) -> None:
    """Write the metadata of a stage, one line of JSON, to a new folder.

    Raises:
        ScoringError: The folder exists or cannot be written.
    """
    if is_connect(spark):
        return connect_storage.write_text(spark, path, metadata)
    with _new_folder(spark, path) as folder:
        (folder / "part-00000.txt").write_text(metadata + "\n", encoding="utf-8")
    return None


def read_metadata(spark: SparkSession, path: str) -> str:
    """Read metadata that `write_metadata` or Spark ML has written.

    Raises:
        ScoringError: The folder cannot be read or has no metadata.
    """
    if is_connect(spark):
        text = connect_storage.read_text(spark, path).strip()
    else:
        with _local_copy(spark, path) as folder:
            parts = sorted(folder.glob("part-*"))
            text = "".join(part.read_text(encoding="utf-8") for part in parts).strip()
    if not text:
        raise ScoringError(f"{path}: expected the metadata of a saved stage, found none")
    return text


@contextmanager
def _new_folder(spark: SparkSession, path: str) -> Iterator[Path]:
    """Yield a temporary folder to write to, then copy it to the path."""
    with owned_folder("stage") as temporary:
        folder = temporary / "stage"
        folder.mkdir()
        yield folder
        (folder / "_SUCCESS").touch()  # Spark's mark of a complete folder
        try:
            hadoop.put(spark, folder, path)
        except FileExistsError:
            raise ScoringError(
                f"{path} exists already. Use another path, or write().overwrite()"
            ) from None
        except hadoop.error_types() as error:
            reason = hadoop.reason_of(error)
            raise ScoringError(f"{path} cannot be written: {reason}") from error


@contextmanager
def _local_copy(spark: SparkSession, path: str) -> Iterator[Path]:
    """Yield a temporary folder with a copy of the folder at the path."""
    with owned_folder("stage") as temporary:
        folder = temporary / "stage"
        try:
            hadoop.get(spark, path, folder)
        except hadoop.error_types() as error:
            reason = hadoop.reason_of(error)
            raise ScoringError(
                f"{path}: expected a saved stage, but the folder cannot be read: {reason}"
            ) from error
        yield folder


def digest(config: str, weights: Arrays, archive: bytes | None = None) -> str:
    """Return a digest of a model: 16 hexadecimal digits of a SHA-256."""
    # The text of a damaged file may have characters that UTF-8 has not.
    sha256 = hashlib.sha256(config.encode("utf-8", "surrogatepass"))
    sha256.update(b"" if archive is None else archive)
    for array in weights:
        sha256.update(f"{array.dtype}{array.shape}".encode())
        sha256.update(np.ascontiguousarray(array).tobytes())
    return sha256.hexdigest()[:16]


def _read_rows(path: str, folder: Path) -> list[dict[str, Any]]:
    """Read rows of weights, but not more than the size of their files allows."""
    files = sorted(file for file in folder.iterdir() if not file.name.startswith(("_", ".")))
    allowed = max(_MOST_NUMBERS, _MOST_TIMES_LARGER * sum(file.stat().st_size for file in files))
    rows: list[dict[str, Any]] = []
    for file in files:
        with pq.ParquetFile(file) as parquet:
            for batch in parquet.iter_batches(_ROWS_AT_A_TIME, columns=SCHEMA.names):
                allowed -= batch.nbytes
                if len(rows) + len(batch) > _MOST_WEIGHTS or allowed < 0:
                    raise ScoringError(
                        f"{path}: expected at most {_MOST_WEIGHTS:,} weights, and numbers of at "
                        f"most {_MOST_TIMES_LARGER} times the size of their files, got more"
                    )
                rows += batch.to_pylist()
    return rows


def _array(path: str, row: Mapping[str, Any]) -> npt.NDArray[Any]:
    dtype, shape, numbers = row["dtype"], row["shape"], row["numbers"]
    if dtype not in FLOATS_AND_BOOL + INTEGERS:
        raise ScoringError(f"{path}: expected numbers, got a weight of the type {dtype!r}")
    size = prod(shape) * np.dtype(dtype).itemsize
    if any(side < 0 for side in shape) or len(numbers) != size:
        raise ScoringError(
            f"{path}: expected {size} bytes for a weight of the shape {shape}, got {len(numbers)}"
        )
    return np.frombuffer(numbers, dtype).reshape(shape)
