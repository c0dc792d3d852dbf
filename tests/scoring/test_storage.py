"""Tests for glasses_spark.scoring.storage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from glasses_spark.errors import ScoringError
from glasses_spark.scoring.connect_storage import read_table
from glasses_spark.scoring.storage import (
    SCHEMA,
    digest,
    read_metadata,
    read_weights,
    write_metadata,
    write_weights,
)


def test_weights_are_read_as_written(spark: SparkSession, tmp_path: Path) -> None:
    weights: list[Any] = [
        np.arange(6, dtype=np.float32).reshape(2, 3),
        np.array(3, np.int64),
        np.zeros((0, 2), np.float16),
    ]
    write_weights(spark, str(tmp_path / "weights"), weights)
    loaded = read_weights(spark, str(tmp_path / "weights"))
    assert [array.dtype for array in loaded] == [np.float32, np.int64, np.float16]
    assert [array.shape for array in loaded] == [(2, 3), (), (0, 2)]
    assert loaded[0].tolist() == [[0, 1, 2], [3, 4, 5]]


def test_metadata_is_read_as_written(spark: SparkSession, tmp_path: Path) -> None:
    write_metadata(spark, str(tmp_path / "metadata"), '{"uid": "ä"}')
    assert read_metadata(spark, str(tmp_path / "metadata")) == '{"uid": "ä"}'


def test_an_existing_folder_is_not_overwritten(spark: SparkSession, tmp_path: Path) -> None:
    write_metadata(spark, str(tmp_path / "metadata"), "{}")
    with pytest.raises(ScoringError, match=r"metadata exists already\. Use another path"):
        write_metadata(spark, str(tmp_path / "metadata"), "{}")


def test_empty_metadata_is_an_error(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "metadata").mkdir()
    with pytest.raises(ScoringError, match="expected the metadata of a saved stage, found none"):
        read_metadata(spark, str(tmp_path / "metadata"))


def test_weights_of_other_types_or_sizes_are_refused(spark: SparkSession, tmp_path: Path) -> None:
    path = str(tmp_path / "weights")
    write_weights(spark, path, [np.arange(6, dtype=np.float32).reshape(2, 3)])
    rows = spark.read.parquet(path)
    rows.withColumn("dtype", F.lit("object")).write.parquet(f"{path}-object")
    with pytest.raises(ScoringError, match="a weight of the type 'object'"):
        read_weights(spark, f"{path}-object")
    rows.withColumn("shape", F.array(F.lit(2), F.lit(4))).write.parquet(f"{path}-longer")
    with pytest.raises(ScoringError, match=r"expected 32 bytes .* got 24"):
        read_weights(spark, f"{path}-longer")


@pytest.mark.parametrize(
    ("rows", "zeros"),
    [
        pytest.param(200_000, 4, id="many rows"),
        pytest.param(600, 1_000_000, id="many zeros"),
    ],
)
def test_a_small_file_with_endless_weights_is_refused(
    spark: SparkSession, tmp_path: Path, rows: int, zeros: int
) -> None:
    path = tmp_path / "weights"
    path.mkdir()
    row = {"place": 0, "dtype": "uint8", "shape": [zeros], "numbers": bytes(zeros)}
    batch = pa.Table.from_pylist([row] * min(rows, 100), SCHEMA)
    with pq.ParquetWriter(path / "part-00000.parquet", SCHEMA, compression="zstd") as writer:
        for _ in range(0, rows, 100):
            writer.write_table(batch)
    with pytest.raises(ScoringError, match="weights: expected at most 100,000 weights"):
        read_weights(spark, str(path))


def test_spark_reads_a_table_without_endless_rows(spark: SparkSession, tmp_path: Path) -> None:
    places = pa.array(range(100_001), pa.int32())
    table = pa.table({"place": places, "content": [b""] * 100_001})
    for name, rows in (("some", 3), ("endless", 100_001)):
        (tmp_path / name).mkdir()
        pq.write_table(table.slice(0, rows), tmp_path / name / "part.parquet")
    arguments: dict[str, Any] = {"keys": ["place"], "content": "content"}
    assert len(read_table(spark, str(tmp_path / "some"), **arguments)) == 3
    with pytest.raises(ScoringError, match="endless: expected at most 100,000 rows, got more"):
        read_table(spark, str(tmp_path / "endless"), **arguments)


def test_the_digest_depends_on_architecture_numbers_type_and_shape() -> None:
    ones = np.ones(4, np.float32)
    digests = {
        digest("{}", [ones]),
        digest("[]", [ones]),
        digest("{}", [2 * ones]),
        digest("{}", [ones.astype(np.float64)]),
        digest("{}", [ones.reshape(2, 2)]),
    }
    assert len(digests) == 5
    assert digest("{}", [ones]) == digest("{}", [ones.copy()])
    assert all(len(text) == 16 for text in digests)
