"""Tests for glasses_spark.runs.read."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glasses_spark.errors import ConfigError, DataError
from glasses_spark.runs.read import flatten, read_runs

METRICS = {
    "train": {"rows": 1, "accuracy": 1.0, "roc_auc": None, "bins": [1, 2]},
    "test": {
        "rows": 3,
        "accuracy": 2 / 3,
        "roc_auc": 0.5,
        "intervals": {"accuracy": [0.25, 0.9], "roc_auc": None},
    },
    "data": {"images": 4},
    "timings": {"fit_s": 1.5},
    "environment": {"cpus": 2, "packages": {"keras": "3.15.1"}},
}


def write_run(
    folder: Path,
    *,
    mode: str = "synchronous",
    predicted: Sequence[float] = (1.0, 0.0, 1.0, 0.0),
    metrics: Mapping[str, Any] = METRICS,
) -> Path:
    """Write a run folder of four images, three of them in the test set."""
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(
        f'[training]\nmode = "{mode}"\nmetrics = ["accuracy", "AUC"]\n\n'
        '[spark.conf]\n"spark.executor.memory" = "4g"\n'
    )
    (folder / "metrics.json").write_text(json.dumps(metrics))
    (folder / "history.json").write_text(
        json.dumps([{"epoch": 1, "loss": 0.5, "accuracy": 0.75, "rows": 1, "workers": []}])
    )
    table = {
        "id": pa.array([4, 7, 2, 9], pa.int32()),
        "path": [f"file:/faces/{number}.png" for number in (4, 7, 2, 9)],
        "label": [1.0, 0.0, 0.0, 1.0],
        "split": ["train", "test", "test", "test"],
        "prediction": [[0.9], [0.2], [0.8], [0.3]],
        "predicted_label": list(predicted),
    }
    pq.write_table(pa.table(table), folder / "predictions.parquet")
    return folder


def test_a_run_is_read_with_its_rows_in_the_order_of_ids(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / name) for name in ("a", "b")]

    run, second = read_runs(folders)

    assert (run.name, second.name, run.folder) == ("a", "b", str(tmp_path / "a"))
    assert run.config == {
        "training.mode": "synchronous",
        "training.metrics": "accuracy, AUC",
        "spark.conf.spark.executor.memory": "4g",
    }
    assert list(run.metrics["test"].items()) == [
        ("rows", 3),
        ("accuracy", 2 / 3),
        ("accuracy, 95 %", "0.2500-0.9000"),
        ("roc_auc", 0.5),
    ]
    assert run.metrics["train"] == {"rows": 1, "accuracy": 1.0, "roc_auc": None}
    assert set(run.metrics) == {"train", "test"}
    assert run.environment == {"cpus": 2, "packages.keras": "3.15.1", "data digest": None}
    assert run.rows.ids.tolist() == [2, 4, 7, 9]
    assert run.rows.with_glasses.tolist() == [False, True, False, True]
    assert run.rows.correct.tolist() == [False, True, True, False]
    assert run.rows.in_test.tolist() == [True, False, True, True]


@pytest.mark.parametrize(
    ("folders", "names"),
    [
        (["a/one", "a/two"], ["one", "two"]),
        (["a/latest", "b/latest"], ["a/latest", "b/latest"]),
    ],
)
def test_runs_are_named_by_the_shortest_distinct_endings(
    tmp_path: Path, folders: list[str], names: list[str]
) -> None:
    runs = read_runs([write_run(tmp_path / folder) for folder in folders])
    assert [run.name for run in runs] == names


def test_a_single_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="compare needs at least two run folders, got 1"):
        read_runs([write_run(tmp_path / "a")])


def test_a_run_given_twice_is_an_error_also_through_a_link(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "a")
    (tmp_path / "link").symlink_to(folder)
    with pytest.raises(ConfigError, match=r"link: this run folder is given twice"):
        read_runs([folder, tmp_path / "link"])


def test_a_missing_run_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere: expected a run folder .* no such folder"):
        read_runs([write_run(tmp_path / "a"), tmp_path / "nowhere"])


@pytest.mark.parametrize("name", ["history.json", "predictions.parquet"])
def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path, name: str) -> None:
    folders = [write_run(tmp_path / "a"), write_run(tmp_path / "b")]
    (folders[1] / name).unlink()
    with pytest.raises(ConfigError, match=rf"b: this run folder has no {name}"):
        read_runs(folders)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("config.toml", ConfigError, "is not a TOML file"),
        ("metrics.json", DataError, "expected JSON"),
        ("history.json", DataError, "expected JSON"),
        ("predictions.parquet", DataError, "expected a Parquet file"),
    ],
)
def test_a_damaged_file_is_an_error_that_names_it(
    tmp_path: Path, name: str, error: type[Exception], message: str
) -> None:
    folders = [write_run(tmp_path / "a"), write_run(tmp_path / "b")]
    (folders[1] / name).write_text("{ damaged")
    with pytest.raises(error, match=message) as caught:
        read_runs(folders)
    assert str(folders[1] / name) in str(caught.value)


def test_predictions_without_a_column_are_an_error(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / "a"), write_run(tmp_path / "b")]
    path = folders[0] / "predictions.parquet"
    pq.write_table(pq.read_table(path).drop(["split"]), path)
    with pytest.raises(DataError, match=r"missing \['split'\]"):
        read_runs(folders)


def test_predictions_with_a_repeated_id_are_an_error(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / "a"), write_run(tmp_path / "b")]
    path = folders[0] / "predictions.parquet"
    pq.write_table(pa.concat_tables([pq.read_table(path)] * 2), path)
    with pytest.raises(DataError, match="expected one row per id, found several"):
        read_runs(folders)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"id": ["a", "b", "c", "d"]}, "got id: string"),
        ({"label": ["a", "b", "c", "d"]}, "got label: string"),
        ({"split": [1, 2, 3, 4]}, "got split: int64"),
        ({"split": ["test", None, "test", "test"]}, "expected the split of each image, found null"),
        ({"id": [1, 2, None, 4]}, "expected the id of each image, found null"),
        (
            {"label": [0.0, math.nan, 1.0, 1.0]},
            "expected 0.0 or 1.0 in the column 'label', found nan",
        ),
        (
            {"predicted_label": [0.0, 2.0, 1.0, 1.0]},
            "expected 0.0 or 1.0 in the column 'predicted_label', found 2.0",
        ),
    ],
)
def test_predictions_of_other_types_are_an_error(
    tmp_path: Path, column: dict[str, list[Any]], message: str
) -> None:
    folders = [write_run(tmp_path / "a"), write_run(tmp_path / "b")]
    path = folders[0] / "predictions.parquet"
    table = pq.read_table(path)
    ((name, values),) = column.items()
    changed = table.set_column(table.schema.get_field_index(name), name, pa.array(values))
    pq.write_table(changed, path)
    with pytest.raises(DataError, match=message):
        read_runs(folders)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = " + "[" * 5000, "nested too deeply"),
        ("a = " + "{a = " * 5000, "nested too deeply"),
        (".".join(["a"] * 5000) + " = 1", "nested too deeply"),
        (f"a = {'9' * 5000}", "is not a TOML file"),
        ("# " + "a" * 2**20, "expected at most 1,048,576 bytes"),
    ],
    ids=["lists", "inline tables", "tables", "digits", "size"],
)
def test_a_configuration_that_nobody_wrote_is_an_error(
    tmp_path: Path, text: str, message: str
) -> None:
    folders = [write_run(tmp_path / "a"), write_run(tmp_path / "b")]
    (folders[1] / "config.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_runs(folders)


def test_settings_of_any_type_are_numbers_or_printable_text(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / "a"), write_run(tmp_path / "b")]
    (folders[0] / "config.toml").write_text(
        'when = 2020-01-01\nnumber = nan\ntext = "\\u001b]0;"\n[["a\\nb"]]\nx = 1\n'
    )
    run, _ = read_runs(folders)
    assert run.config == {
        "when": "2020-01-01",
        "number": "nan",
        "text": "\\x1b]0;",
        "a\\x0ab": "{'x': 1}",
    }
    json.dumps(run.config, allow_nan=False)


def test_nested_tables_are_flattened() -> None:
    assert flatten({"a": {"b": 1, "c": {"d": 2}}, "e": 3}) == {"a.b": 1, "a.c.d": 2, "e": 3}
