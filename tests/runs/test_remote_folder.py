"""Tests for glasses_spark.runs.remote_folder, with locations that only Hadoop reaches."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from glasses_spark.errors import ConfigError, ResultsError
from glasses_spark.runs.remote_folder import (
    check_run_location,
    local_configuration,
    new_run_folder_at,
)
from tests.elsewhere import mount


@pytest.fixture
def root(spark: SparkSession, tmp_path: Path) -> str:
    """A URI of ``tmp_path`` that is not a local path for the library."""
    return mount(spark, tmp_path)


def make_run(spark: SparkSession, location: str, text: str) -> None:
    def write(folder: Path) -> None:
        (folder / "config.toml").write_text(text)
        (folder / "metrics.json").write_text("{}")
        (folder / "model").mkdir()
        (folder / "model" / "a b%20c.txt").write_text(text)

    with new_run_folder_at(spark, location) as new:
        new.finish(write)


def tree(folder: Path) -> list[str]:
    """Return the files below a folder, without Hadoop's checksum files."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".crc")
    return sorted(str(path.relative_to(folder)) for path in paths)


RUN = ["config.toml", "metrics.json", "model/a b%20c.txt"]


def test_a_run_folder_appears_at_its_uri_only_when_complete(
    spark: SparkSession, root: str, tmp_path: Path
) -> None:
    def write(folder: Path) -> None:
        (folder / "metrics.json").write_text("{}")
        assert tree(tmp_path) == []

    with new_run_folder_at(spark, f"{root}/runs/one") as new:
        new.finish(write)

    assert tree(tmp_path) == ["runs/one/metrics.json"]


def test_a_file_uri_is_a_local_folder(spark: SparkSession, tmp_path: Path) -> None:
    for uri in (f"file:{tmp_path}/my run", (tmp_path / "my run").as_uri()):
        make_run(spark, uri, uri)
        assert (tmp_path / "my run" / "config.toml").read_text() == uri
    assert [path.name for path in tmp_path.iterdir()] == ["my run"]


def test_an_earlier_run_folder_is_replaced_but_for_files_of_the_user_and_survives_a_failure(
    spark: SparkSession, root: str, tmp_path: Path
) -> None:
    make_run(spark, f"{root}/run/", "old")
    (tmp_path / "run" / "history.json").write_text("old")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    make_run(spark, f"{root}/run", "new")
    assert tree(tmp_path / "run") == [*RUN, "notes.txt"]

    def fail_halfway() -> None:
        with new_run_folder_at(spark, f"{root}/run"):
            raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        fail_halfway()
    assert (tmp_path / "run" / "config.toml").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_the_configuration_of_a_run_is_copied_from_its_uri(spark: SparkSession, root: str) -> None:
    make_run(spark, f"{root}/run", "[run]\nseed = 7\n")
    with local_configuration(spark, f"{root}/run") as copy:
        assert copy.read_text() == "[run]\nseed = 7\n"
    with (
        pytest.raises(ConfigError, match=r"expected a run folder .* found no such folder"),
        local_configuration(spark, f"{root}/other"),
    ):
        pass


def write_other_file(folder: Path) -> None:
    (folder / "run").mkdir()
    (folder / "run" / "thesis.txt").write_text("precious")


@pytest.mark.parametrize(
    ("prepare", "name", "message"),
    [
        (write_other_file, "run", "is not empty and not a run folder"),
        (lambda folder: (folder / "run").write_text(""), "run", "expected a folder .* is a file"),
    ],
)
def test_other_contents_are_not_replaced(
    spark: SparkSession,
    root: str,
    tmp_path: Path,
    prepare: Callable[[Path], None],
    name: str,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    prepare(tmp_path)
    files = tree(tmp_path)
    with pytest.raises(ConfigError, match=message):
        check_run_location(spark, f"{root}/{name}")
    # Also if they came there during the run.
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with pytest.raises(ResultsError, match=message) as error:
        make_run(spark, f"{root}/{name}", "new")
    kept = tmp_path / "temporary" / "glasses-spark-run-results"
    assert error.value.folder == kept
    assert tree(kept) == RUN
    assert kept.stat().st_mode & 0o777 == 0o700
    shutil.rmtree(tmp_path / "temporary")
    assert tree(tmp_path) == files


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("nosuchfs://host/run", 'cannot be used .*No FileSystem for scheme "nosuchfs"'),
        ("viewfs://nowhere/run", "viewfs://nowhere/run: cannot be used"),
        ("s3a://bucket/", "expected a folder, got s3a://bucket/. Use a folder below it"),
    ],
)
def test_an_unreachable_location_is_an_error(
    spark: SparkSession, location: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_run_location(spark, location)


def test_what_a_kill_between_the_two_renames_left_is_completed(
    spark: SparkSession, root: str, tmp_path: Path
) -> None:
    for name, text in [("old", "old"), ("new", "new")]:
        make_run(spark, f"{root}/run", text)
        (tmp_path / "run").rename(tmp_path / f".run.1a2b3c4d.{name}")
    (tmp_path / ".run.1a2b3c4d.old" / "notes.txt").write_text("mine")

    check_run_location(spark, f"{root}/run")

    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert tree(tmp_path / "run") == [*RUN, "notes.txt"]
    assert (tmp_path / "run" / "config.toml").read_text() == "new"


def test_a_uri_that_cannot_be_written_is_refused_before_the_work(
    spark: SparkSession, root: str, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    for location in (f"{root}/file/run", f"{root}/file/deep/run", f"{root}/../run"):
        with pytest.raises(ConfigError, match="cannot be used for the results"):
            check_run_location(spark, location)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    check_run_location(spark, f"{root}/run")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
