"""Storage under Spark Connect: tables and texts of a saved stage, through Spark's own writers.

The client may not reach the disk of the server, so the rows travel with the queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark.errors import ScoringError
from glasses_spark.runtime.connect_files import literal
from glasses_spark.runtime.hadoop import reason_of

# A message of Spark Connect has at most 128 MiB.
PIECE_BYTES: Final = 16 * 2**20

# Weights of a model.
MOST_ROWS: Final = 100_000

_PIECE: Final = "piece"


def write_table(spark: SparkSession, path: str, table: pa.Table) -> None:
    """Write rows to a new folder, as one Parquet file.

    Raises:
        ScoringError: The folder exists or cannot be written.
    """
    with _explained_write(path):
        spark.createDataFrame(table).coalesce(1).write.parquet(path)


def write_text(spark: SparkSession, path: str, text: str) -> None:
    """Write a line of text to a new folder, as Spark ML writes its metadata.

    Raises:
        ScoringError: The folder exists or cannot be written.
    """
    with _explained_write(path):
        spark.createDataFrame(pa.table({"value": [text]})).coalesce(1).write.text(path)


def read_table(spark: SparkSession, path: str, *, keys: list[str], content: str) -> list[Any]:
    """Read rows with a binary column, whose values may be longer than a message.

    Args:
        spark: The running session.
        path: Folder of Parquet files.
        keys: Columns beside the binary one; the first one identifies the row.
        content: Name of the binary column.

    Returns:
        A dictionary for each row, in the order of the first key.

    Raises:
        ScoringError: The folder cannot be read.
    """
    with _explained_read(path):
        frame = spark.read.parquet(literal(path))
        # A file of a stranger may have millions of equal rows in a few bytes.
        if frame.limit(MOST_ROWS + 1).count() > MOST_ROWS:
            raise ScoringError(f"{path}: expected at most {MOST_ROWS:,} rows, got more")
        return _in_pieces(frame, keys, content)


def read_file(spark: SparkSession, path: str) -> bytes:
    """Read a file.

    Raises:
        ScoringError: The file cannot be read.
    """
    with _explained_read(path):
        files = spark.read.format("binaryFile").load(literal(path))
        return bytes(_in_pieces(files, ["path"], "content")[0]["content"])


def read_text(spark: SparkSession, path: str) -> str:
    """Read the lines of a folder of text files.

    Raises:
        ScoringError: The folder cannot be read.
    """
    with _explained_read(path):
        return "\n".join(row.value for row in spark.read.text(literal(path)).collect())


def _in_pieces(frame: DataFrame, keys: list[str], content: str) -> list[Any]:
    last = F.floor(F.greatest(F.length(content) - 1, F.lit(0)) / PIECE_BYTES).cast("int")
    pieces = frame.select(*keys, content, F.explode(F.sequence(F.lit(0), last)).alias(_PIECE))
    part = F.substring(content, F.col(_PIECE) * PIECE_BYTES + 1, F.lit(PIECE_BYTES))
    rows: dict[Any, dict[str, Any]] = {}
    for row in pieces.select(*keys, _PIECE, part.alias(content)).orderBy(keys[0], _PIECE).collect():
        first = {**{key: row[key] for key in keys}, content: bytearray()}
        rows.setdefault(row[keys[0]], first)[content] += row[content]
    return list(rows.values())


@contextmanager
def _explained_write(path: str) -> Iterator[None]:
    try:
        yield
    except PySparkException as error:
        if error.getCondition() == "PATH_ALREADY_EXISTS":
            raise ScoringError(
                f"{path} exists already. Use another path, or write().overwrite()"
            ) from None
        raise ScoringError(f"{path} cannot be written: {reason_of(error)}") from error


@contextmanager
def _explained_read(path: str) -> Iterator[None]:
    try:
        yield
    except PySparkException as error:
        raise ScoringError(
            f"{path}: expected a saved stage, but the folder cannot be read: {reason_of(error)}"
        ) from error
