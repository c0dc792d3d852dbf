"""Tests for glasses_spark.runs.folder."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from glasses_spark.errors import ConfigError
from glasses_spark.runs.folder import (
    check_run_folder,
    require_run_folder,
    write_csv,
    write_json,
    write_parquet,
)


def test_a_folder_with_other_contents_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(ConfigError, match="is not empty and not a run folder"):
        check_run_folder(tmp_path)


def test_a_file_at_the_path_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(ConfigError, match=r"expected a folder for the results, but .* is a file"):
        check_run_folder(tmp_path / "run")


@pytest.mark.parametrize(
    ("exists", "found"), [(False, "no such folder"), (True, "without these files")]
)
def test_a_folder_that_is_not_a_run_folder_is_an_error(
    tmp_path: Path, exists: bool, found: str
) -> None:
    if exists:
        (tmp_path / "run").mkdir()
    with pytest.raises(ConfigError, match=f"expected a run folder .* found .*{found}"):
        require_run_folder(tmp_path / "run")


def test_json_rejects_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "good.json", {"a": [1, None]})
    assert json.loads((tmp_path / "good.json").read_text()) == {"a": [1, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "bad.json", float("nan"))


def test_csv_escapes_commas_and_quotes(tmp_path: Path) -> None:
    rows = [["a, b.png", 'not "PNG"']]
    write_csv(tmp_path / "q.csv", ["path", "reason"], rows)
    with (tmp_path / "q.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["path", "reason"], *rows]


def test_csv_has_neither_control_characters_nor_formulas(tmp_path: Path) -> None:
    write_csv(tmp_path / "q.csv", ["path", "label"], [["a\x1b[2J\n.png", "-0.5"], ["=1+2", "@x"]])
    with (tmp_path / "q.csv").open(newline="") as file:
        assert list(csv.reader(file))[1:] == [[r"a\x1b[2J\x0a.png", "-0.5"], ["'=1+2", "'@x"]]


@pytest.mark.parametrize("rows", [2, 1_000_000])
def test_a_parquet_file_has_the_rows_and_types_of_the_frame(
    spark: SparkSession, tmp_path: Path, rows: int
) -> None:
    schema = "id INT, path STRING, label DOUBLE, prediction ARRAY<DOUBLE>"
    frame = spark.createDataFrame([(2, "b", 1.0, [0.75]), (1, "a", None, [0.5])], schema)

    write_parquet(tmp_path / "p.parquet", frame, order="id", rows=rows)

    assert pq.read_table(tmp_path / "p.parquet").column("id").to_pylist() == [1, 2]
    back = spark.read.parquet(str(tmp_path / "p.parquet")).orderBy("id")
    assert back.collect() == frame.orderBy("id").collect()
    assert back.dtypes == frame.dtypes


def test_a_parquet_file_without_rows_has_the_columns(spark: SparkSession, tmp_path: Path) -> None:
    empty = spark.createDataFrame([], "id INT, label DOUBLE")
    write_parquet(tmp_path / "p.parquet", empty, order="id", rows=0)
    assert pq.read_table(tmp_path / "p.parquet").column_names == ["id", "label"]
