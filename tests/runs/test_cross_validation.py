"""Tests for glasses_spark.runs.cross_validation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from glasses_spark.errors import ResultsError
from glasses_spark.evaluation.cross_validation import FoldResult, Folds
from glasses_spark.evaluation.label_doubt import DoubtedLabel, LabelDoubt
from glasses_spark.runs.cross_validation import CrossValidation, write_cross_validation
from tests.runs.results import make_metrics


@pytest.fixture(scope="module")
def result(spark: SparkSession) -> CrossValidation:
    predictions = spark.createDataFrame(
        [(2, "b.png", 1.0, 0, [0.75], 1.0), (1, "a.png", 0.0, 1, [0.5], 1.0)],
        "id INT, path STRING, label DOUBLE, fold INT, prediction ARRAY<DOUBLE>, "
        "predicted_label DOUBLE",
    )
    folds = tuple(FoldResult(fold, 100, make_metrics(), fit_s=2.0, score_s=1.0) for fold in (0, 1))
    doubt = LabelDoubt(
        (DoubtedLabel(1, 1, "a.png", 0.0, 0.5, 0.5, likely_wrong=True),), likely_wrong=1, rows=2
    )
    return CrossValidation(
        folds=Folds(folds, predictions, ()),
        out_of_fold=make_metrics(),
        doubt=doubt,
        data={"images": 3, "used": 2},
        timings={"folds_s": 6.0, "total_s": 7.25},
        run_dir=Path("unused"),
    )


def write(result: CrossValidation, folder: Path) -> None:
    write_cross_validation(
        replace(result, run_dir=folder),
        "[run]\nseed = 7\n",
        pictures={},
        duplicates=None,
        environment={"cpus": 2},
    )


def test_the_folder_has_all_files(result: CrossValidation, tmp_path: Path) -> None:
    folder = tmp_path / "cv"
    write(result, folder)

    assert sorted(path.name for path in folder.iterdir()) == [
        "config.toml",
        "cross_validation.html",
        "cross_validation.json",
        "label_doubt.csv",
        "out_of_fold.parquet",
    ]
    figures = json.loads((folder / "cross_validation.json").read_text())
    assert [fold["fold"] for fold in figures["folds"]] == [0, 1]
    assert figures["mean"]["accuracy"] == pytest.approx(figures["folds"][0]["accuracy"])
    assert figures["likely_wrong_labels"] == 1
    assert (folder / "label_doubt.csv").read_text().splitlines() == [
        "rank,id,path,label,probability,self_confidence,likely_wrong",
        "1,1,a.png,0.0,0.5,0.5,true",
    ]
    assert pq.read_table(folder / "out_of_fold.parquet").column("fold").to_pylist() == [1, 0]


def test_a_folder_with_other_contents_is_not_replaced(
    result: CrossValidation, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.toml").write_text("")
    (tmp_path / "run" / "metrics.json").write_text("{}")
    message = r"it has no config\.toml and cross_validation\.json"
    with pytest.raises(ResultsError, match=message) as error:
        write(result, tmp_path / "run")
    assert error.value.folder == tmp_path / "run-results"
    assert (tmp_path / "run-results" / "cross_validation.json").is_file()


def test_the_text_has_counts_and_the_folder(result: CrossValidation) -> None:
    assert repr(result).splitlines()[-3:] == [
        "1 of 2 labels are likely wrong",
        "2 of 3 images, 2 folds, 7.2 s",
        "Results: unused",
    ]
