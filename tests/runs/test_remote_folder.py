"""Tests for glasses_spark.runs.remote_folder, with places that only Hadoop reaches."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from glasses_spark.errors import ConfigError
from glasses_spark.runs.remote_folder import check_run_place, configuration_of, new_run_place
from tests.elsewhere import mounted


@pytest.fixture
def place(spark: SparkSession, tmp_path: Path) -> str:
    """A URI under which ``tmp_path`` is found."""
    return mounted(spark, tmp_path)


def make_run(spark: SparkSession, location: str, text: str) -> None:
    with new_run_place(spark, location) as fresh:
        (fresh / "config.toml").write_text(text)
        (fresh / "metrics.json").write_text("{}")
        (fresh / "model").mkdir()
        (fresh / "model" / "a b%20c.txt").write_text(text)


def tree(folder: Path) -> list[str]:
    """The files below, without Hadoop's checksums beside them."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".crc")
    return sorted(str(path.relative_to(folder)) for path in paths)


RUN = ["config.toml", "metrics.json", "model/a b%20c.txt"]


def test_a_run_appears_at_its_uri_with_the_folders_above_it(
    spark: SparkSession, place: str, tmp_path: Path
) -> None:
    with new_run_place(spark, f"{place}/runs/one") as fresh:
        (fresh / "metrics.json").write_text("{}")
        assert tree(tmp_path) == []

    assert tree(tmp_path) == ["runs/one/metrics.json"]


def test_a_file_uri_is_a_folder_of_this_machine(spark: SparkSession, tmp_path: Path) -> None:
    for uri in (f"file:{tmp_path}/my run", (tmp_path / "my run").as_uri()):
        make_run(spark, uri, uri)
        assert (tmp_path / "my run" / "config.toml").read_text() == uri
    assert [path.name for path in tmp_path.iterdir()] == ["my run"]


def test_the_run_before_is_replaced_as_a_whole_and_kept_when_the_new_one_fails(
    spark: SparkSession, place: str, tmp_path: Path
) -> None:
    make_run(spark, f"{place}/run/", "old")
    (tmp_path / "run" / "extra.txt").write_text("old")
    make_run(spark, f"{place}/run", "new")
    assert tree(tmp_path / "run") == RUN

    def fail_halfway() -> None:
        with new_run_place(spark, f"{place}/run"):
            raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        fail_halfway()
    assert (tmp_path / "run" / "config.toml").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_the_configuration_of_a_run_comes_from_its_uri(spark: SparkSession, place: str) -> None:
    make_run(spark, f"{place}/run", "[run]\nseed = 7\n")
    with configuration_of(spark, f"{place}/run") as copy:
        assert copy.read_text() == "[run]\nseed = 7\n"
    with (
        pytest.raises(ConfigError, match=r"expected a run folder .* found no such folder"),
        configuration_of(spark, f"{place}/other"),
    ):
        pass


def a_thesis(folder: Path) -> None:
    (folder / "run").mkdir()
    (folder / "run" / "thesis.txt").write_text("precious")


@pytest.mark.parametrize(
    ("prepare", "name", "message"),
    [
        (a_thesis, "run", "holds something else than the results of a run"),
        (lambda folder: (folder / "run").write_text(""), "run", "is a file; expected a folder"),
    ],
)
def test_what_is_no_run_is_not_replaced(
    spark: SparkSession,
    place: str,
    tmp_path: Path,
    prepare: Callable[[Path], None],
    name: str,
    message: str,
) -> None:
    prepare(tmp_path)
    before = tree(tmp_path)
    with pytest.raises(ConfigError, match=message):
        check_run_place(spark, f"{place}/{name}")
    with pytest.raises(ConfigError, match=message), new_run_place(spark, f"{place}/{name}"):
        pass
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("nosuchfs://host/run", 'cannot be used .*No FileSystem for scheme "nosuchfs"'),
        ("viewfs://nowhere/run", "viewfs://nowhere/run: cannot be used"),
        ("s3a://bucket/", "expected a folder, got s3a://bucket/; name one in it"),
    ],
)
def test_a_place_that_cannot_be_reached_is_named_at_once(
    spark: SparkSession, location: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        check_run_place(spark, location)
