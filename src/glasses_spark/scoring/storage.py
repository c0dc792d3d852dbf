"""Storage: a Spark ML stage's weights and metadata, at any place that Spark can write to.

They are written and read by the driver, in the form in which Spark itself does it: a
task would write them to the disk of its own machine.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from glasses_spark.errors import ScoringError
from glasses_spark.runtime import hadoop

SCHEMA: Final = pa.schema(
    [
        ("place", pa.int32()),
        ("dtype", pa.string()),
        ("shape", pa.list_(pa.int32())),
        ("numbers", pa.binary()),
    ]
)
# Nothing but plain numbers is ever made out of bytes that were read.
NUMBERS: Final = ("float16", "float32", "float64", "bool")
WHOLE_NUMBERS: Final = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))

Arrays = Sequence[npt.NDArray[Any]]


def write_weights(spark: SparkSession, path: str, weights: Arrays) -> None:
    """Write weights to a folder that must not exist, one row a weight."""
    rows = [
        {
            "place": place,
            "dtype": str(array.dtype),
            "shape": list(array.shape),
            "numbers": np.ascontiguousarray(array).tobytes(),
        }
        for place, array in enumerate(weights)
    ]
    with _written(spark, path) as folder:
        pq.write_table(pa.Table.from_pylist(rows, SCHEMA), folder / "part-00000.parquet")


def read_weights(spark: SparkSession, path: str) -> list[npt.NDArray[Any]]:
    """Read what `write_weights` wrote.

    Raises:
        ScoringError: There is nothing to read, or a row is no weight.
    """
    with _read(spark, path) as folder:
        rows = pq.read_table(folder, columns=SCHEMA.names).to_pylist()
    return [_array(path, row) for row in sorted(rows, key=lambda row: int(row["place"]))]


def write_metadata(spark: SparkSession, path: str, metadata: str) -> None:
    """Write the metadata of a stage, one line of JSON, to a folder that must not exist."""
    with _written(spark, path) as folder:
        (folder / "part-00000.txt").write_text(metadata + "\n", encoding="utf-8")


def read_metadata(spark: SparkSession, path: str) -> str:
    """Read what `write_metadata`, or Spark ML, wrote.

    Raises:
        ScoringError: There is nothing to read.
    """
    with _read(spark, path) as folder:
        parts = sorted(folder.glob("part-*"))
        text = "".join(part.read_text(encoding="utf-8") for part in parts).strip()
    if not text:
        raise ScoringError(f"{path}: expected the metadata of a saved stage, found none")
    return text


@contextmanager
def _written(spark: SparkSession, path: str) -> Iterator[Path]:
    """Give a folder to write into, which is then copied to its place."""
    with TemporaryDirectory(prefix="glasses-spark-stage-") as temporary:
        folder = Path(temporary) / "stage"
        folder.mkdir()
        yield folder
        (folder / "_SUCCESS").touch()  # as Spark marks what is complete
        try:
            hadoop.put(spark, folder, path)
        except FileExistsError:
            raise ScoringError(
                f"{path}: is there already. Name another place, or use write().overwrite()"
            ) from None
        except hadoop.error_types() as error:
            reason = hadoop.reason_of(error)
            raise ScoringError(f"{path}: cannot be written ({reason})") from error


@contextmanager
def _read(spark: SparkSession, path: str) -> Iterator[Path]:
    with TemporaryDirectory(prefix="glasses-spark-stage-") as temporary:
        folder = Path(temporary) / "stage"
        try:
            hadoop.get(spark, path, folder)
        except hadoop.error_types() as error:
            reason = hadoop.reason_of(error)
            raise ScoringError(
                f"{path}: expected a saved stage, and it cannot be read ({reason})"
            ) from error
        yield folder


def digest(config: str, weights: Arrays) -> str:
    """Name an architecture and its weights: the first 16 digits of a SHA-256."""
    total = hashlib.sha256(config.encode())
    for array in weights:
        total.update(f"{array.dtype}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]


def _array(path: str, row: Mapping[str, Any]) -> npt.NDArray[Any]:
    dtype, shape, numbers = row["dtype"], row["shape"], row["numbers"]
    if dtype not in NUMBERS + WHOLE_NUMBERS:
        raise ScoringError(f"{path}: expected numbers, got a weight of the type {dtype!r}")
    wanted = prod(shape) * np.dtype(dtype).itemsize
    if any(side < 0 for side in shape) or len(numbers) != wanted:
        raise ScoringError(
            f"{path}: expected {wanted} bytes for a weight of the shape {shape}, got {len(numbers)}"
        )
    return np.frombuffer(numbers, dtype).reshape(shape)
