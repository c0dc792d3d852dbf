"""Storage: weights beside a Spark ML stage, in Parquet, at any place that Spark can write to."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import prod
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pyspark.sql import SparkSession

from glasses_spark.errors import ScoringError

SCHEMA: Final = "place int, dtype string, shape array<int>, numbers binary"
# Nothing but plain numbers is ever made out of bytes that were read.
NUMBERS: Final = ("float16", "float32", "float64", "bool")
WHOLE_NUMBERS: Final = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))

Arrays = Sequence[npt.NDArray[Any]]


def write_weights(spark: SparkSession, path: str, weights: Arrays) -> None:
    """Write weights to a folder that must not exist, one row a weight."""
    rows = [
        (place, str(array.dtype), [int(side) for side in array.shape], bytearray(array.tobytes()))
        for place, array in enumerate(map(np.ascontiguousarray, weights))
    ]
    spark.createDataFrame(rows, SCHEMA).coalesce(1).write.parquet(path)


def read_weights(spark: SparkSession, path: str) -> list[npt.NDArray[Any]]:
    """Read what `write_weights` wrote.

    Raises:
        ScoringError: A row is no weight.
    """
    rows = sorted(spark.read.schema(SCHEMA).parquet(path).collect(), key=lambda row: row.place)
    return [_array(path, row) for row in rows]


def digest(config: str, weights: Arrays) -> str:
    """Name an architecture and its weights: the first 16 digits of a SHA-256."""
    total = hashlib.sha256(config.encode())
    for array in weights:
        total.update(f"{array.dtype}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]


def _array(path: str, row: Any) -> npt.NDArray[Any]:
    if row.dtype not in NUMBERS + WHOLE_NUMBERS:
        raise ScoringError(f"{path}: expected numbers, got a weight of the type {row.dtype!r}")
    wanted = prod(row.shape) * np.dtype(row.dtype).itemsize
    if any(side < 0 for side in row.shape) or len(row.numbers) != wanted:
        raise ScoringError(
            f"{path}: expected {wanted} bytes for a weight of the shape {row.shape}, "
            f"got {len(row.numbers)}"
        )
    return np.frombuffer(bytes(row.numbers), row.dtype).reshape(row.shape)
