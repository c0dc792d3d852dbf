"""Tests for glasses_spark.pipeline.cross_validate, and of splits with near-duplicates."""

from __future__ import annotations

import csv
import json
import logging
import shutil
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pyspark.sql import DataFrame, SparkSession

from glasses_spark.cli.main import main
from glasses_spark.config.config import Config
from glasses_spark.datasets.drawn.draw_faces import draw_faces
from glasses_spark.errors import ConfigError
from glasses_spark.pipeline.pipeline import GlassesPipeline

# 101 is a copy of 3; 102 is a copy of 4, with another label.
COPIES = {101: 3, 102: 4}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Configuration of a run on 32 small faces, two of which are copies."""
    folder = tmp_path_factory.mktemp("folds")
    labels = {number: float(number % 2) for number in range(1, 31)}
    drawn, used = folder / "drawn.csv", folder / "labels.csv"
    _write(drawn, labels)
    draw_faces(drawn, folder / "faces", size=64, processes=1)
    for copy, original in COPIES.items():
        shutil.copy(folder / f"faces/face-{original}.png", folder / f"faces/face-{copy}.png")
    _write(used, labels | {101: 1.0, 102: 1.0})
    return Config.from_dict(
        {
            "data": {"images": str(folder / "faces"), "labels": str(used)},
            "image": {"height": 32, "width": 32},
            "split": {"test": 0.4},
            "training": {"epochs": 1, "batch_size": 8, "num_workers": 2, "mode": "synchronous"},
            "run": {"dir": str(folder / "run"), "seed": 3},
            "store": {"dir": str(folder / "pixels")},
        }
    )


def _write(path: Path, labels: dict[int, float]) -> None:
    path.write_text("index,label\n" + "".join(f"{i},{label}\n" for i, label in labels.items()))


@pytest.fixture(scope="module")
def printed(spark: SparkSession, config: Config) -> str:
    """Output of the command that writes the folder."""
    spark.catalog.clearCache()
    path = Path(config.data.labels).with_name("config.toml")
    path.write_text(config.to_toml())
    root, own = logging.getLogger(), logging.getLogger("glasses_spark")
    before = (root.level, list(root.handlers), own.level)
    try:
        with redirect_stdout(StringIO()) as out:
            assert main(["cross-validate", "--config", str(path), "--folds", "2"]) == 0
    finally:  # undo the logging that the command configures for its process
        logging.captureWarnings(False)
        root.setLevel(before[0])
        root.handlers[:] = before[1]
        own.setLevel(before[2])
    return out.getvalue()


@pytest.fixture
def folder(printed: str, config: Config) -> Path:
    return Path(f"{config.run.dir}-cross-validation")


@pytest.mark.slow
@pytest.mark.rotated
class TestCrossValidation:
    def test_the_folder_has_all_files(self, folder: Path) -> None:
        assert sorted(path.name for path in folder.iterdir()) == [
            "config.toml",
            "cross_validation.html",
            "cross_validation.json",
            "duplicates.csv",
            "label_doubt.csv",
            "out_of_fold.parquet",
        ]

    def test_every_image_has_one_out_of_fold_prediction(self, folder: Path) -> None:
        table = pq.read_table(folder / "out_of_fold.parquet")
        assert table.column_names == [
            "id",
            "path",
            "label",
            "fold",
            "prediction",
            "predicted_label",
        ]
        fold = dict(zip(table["id"].to_pylist(), table["fold"].to_pylist(), strict=True))
        assert sorted(fold) == [*range(1, 31), 101, 102]
        assert set(fold.values()) == {0, 1}
        assert all(fold[copy] == fold[original] for copy, original in COPIES.items())

    def test_the_metrics_are_those_of_the_predictions(self, folder: Path) -> None:
        figures = json.loads((folder / "cross_validation.json").read_text())
        rows = pq.read_table(folder / "out_of_fold.parquet").to_pylist()
        for fold in figures["folds"]:
            held_out = [row for row in rows if row["fold"] == fold["fold"]]
            correct = sum(row["label"] == row["predicted_label"] for row in held_out)
            assert fold["rows"] == len(held_out)
            assert fold["rows"] + fold["train_rows"] == 32
            assert fold["accuracy"] == pytest.approx(correct / len(held_out))
        accuracies = [fold["accuracy"] for fold in figures["folds"]]
        assert figures["mean"]["accuracy"] == pytest.approx(sum(accuracies) / 2)
        assert figures["out_of_fold"]["rows"] == 32

    def test_near_duplicates_and_doubtful_labels_are_listed(self, folder: Path) -> None:
        listed = _read(folder / "duplicates.csv")
        assert [(row["cluster"], row["id"], row["conflicting"]) for row in listed] == [
            ("3", "3", "false"),
            ("3", "101", "false"),
            ("4", "4", "true"),
            ("4", "102", "true"),
        ]
        doubted = _read(folder / "label_doubt.csv")
        assert [row["rank"] for row in doubted] == [str(rank) for rank in range(1, 33)]
        page = (folder / "cross_validation.html").read_text()
        assert page.count("<img") == 24

    def test_the_command_prints_the_folds_and_the_folder(self, printed: str, folder: Path) -> None:
        lines = printed.strip().splitlines()
        assert [line.split()[0] for line in lines[:5]] == ["fold", "1", "2", "mean", "std"]
        assert lines[-1] == f"Results: {folder}"

    def test_nothing_stays_persisted(self, folder: Path, spark: SparkSession) -> None:
        assert spark.sparkContext._jsc.getPersistentRDDs().size() == 0


@pytest.mark.slow
@pytest.mark.rotated
def test_near_duplicates_are_in_one_part_unless_they_are_ignored(
    config: Config, spark: SparkSession
) -> None:
    def good(near_duplicates: str) -> DataFrame:
        pipeline = GlassesPipeline(_changed(config, "split", near_duplicates=near_duplicates))
        return pipeline.preprocess(pipeline.load(spark)).good.persist()

    def parts(images: DataFrame, seed: int) -> dict[int, str]:
        train, test = GlassesPipeline(_changed(config, "run", seed=seed)).split(images)
        train_ids = {row.id: "train" for row in train.select("id").collect()}
        return train_ids | {row.id: "test" for row in test.select("id").collect()}

    guarded, plain = good("together"), good("ignore")
    for seed in range(3):
        together, apart = parts(guarded, seed), parts(plain, seed)
        moved = {number for number in together if together[number] != apart[number]}

        assert len(together) == 32
        assert all(together[copy] == together[original] for copy, original in COPIES.items())
        assert moved == {copy for copy in COPIES if apart[copy] != apart[COPIES[copy]]}
    guarded.unpersist()
    plain.unpersist()


def _changed(config: Config, section: str, **keys: object) -> Config:
    table = config.to_dict()
    table[section] |= keys
    return Config.from_dict(table)


def test_a_folder_with_other_files_is_not_replaced(
    config: Config, spark: SparkSession, tmp_path: Path
) -> None:
    for name in ("config.toml", "metrics.json"):  # a run, but no cross-validation
        (tmp_path / name).write_text("")
    with pytest.raises(ConfigError, match=r"it has no config\.toml and cross_validation\.json"):
        GlassesPipeline(config).cross_validate(spark, tmp_path)


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
