"""Tests for glasses_spark.runs.new_folder."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from glasses_spark.errors import ConfigError, DataError, ResultsError
from glasses_spark.runs.new_folder import Write, check_target, new_run_folder


def contents(text: str) -> Write:
    """Return a function that writes a small run folder."""

    def write(folder: Path) -> None:
        (folder / "config.toml").write_text("")
        (folder / "model").mkdir(exist_ok=True)
        (folder / "model" / "weights").write_text(text)
        (folder / "metrics.json").write_text(text)

    return write


def make_run(folder: Path, text: str) -> None:
    with new_run_folder(folder) as new:
        new.finish(contents(text))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


RUN = ["config.toml", "metrics.json", "model"]


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder, where results go that cannot be written to their place."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_run_folder_appears_only_when_complete(tmp_path: Path) -> None:
    target = tmp_path / "runs" / "demo"

    def write(folder: Path) -> None:
        contents("{}")(folder)
        assert not target.exists()

    with new_run_folder(target) as new:
        new.finish(write)

    assert names(target) == RUN
    assert names(tmp_path / "runs") == ["demo"]


def test_an_earlier_run_folder_is_replaced_but_for_files_of_the_user(tmp_path: Path) -> None:
    make_run(tmp_path / "run", "old")
    (tmp_path / "run" / "history.json").write_text("old")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    (tmp_path / "run" / "figures").mkdir()
    (tmp_path / "run" / "figures" / "1.svg").write_text("mine")
    (tmp_path / "run").chmod(0o2750)

    make_run(tmp_path / "run", "new")

    assert names(tmp_path / "run") == ["config.toml", "figures", *RUN[1:], "notes.txt"]
    assert (tmp_path / "run" / "metrics.json").read_text() == "new"
    assert (tmp_path / "run" / "figures" / "1.svg").read_text() == "mine"
    assert (tmp_path / "run").stat().st_mode & 0o7777 == 0o2750
    assert names(tmp_path) == ["run"]


def test_an_earlier_run_folder_survives_a_failure(tmp_path: Path) -> None:
    make_run(tmp_path / "run", "old")

    def fail_halfway() -> None:
        with new_run_folder(tmp_path / "run") as new:
            new.write_model(contents("half"))
            raise RuntimeError("disk on fire")

    with pytest.raises(RuntimeError, match="disk on fire"):
        fail_halfway()

    assert (tmp_path / "run" / "metrics.json").read_text() == "old"
    assert (tmp_path / "run-unfinished" / "metrics.json").read_text() == "half"
    assert names(tmp_path) == ["run", "run-unfinished"]


def test_an_empty_folder_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    check_target(tmp_path / "run")
    make_run(tmp_path / "run", "new")
    assert names(tmp_path / "run") == RUN


def test_the_target_of_a_link_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    make_run(tmp_path / "disk" / "run", "old")
    (tmp_path / "run").symlink_to("disk/run")

    check_target(tmp_path / "run")
    make_run(tmp_path / "run", "new")

    assert (tmp_path / "run").is_symlink()
    assert (tmp_path / "disk" / "run" / "metrics.json").read_text() == "new"
    assert names(tmp_path / "disk") == ["run"]


def test_an_error_after_the_fit_names_the_fitted_model(tmp_path: Path) -> None:
    def fail() -> None:
        with new_run_folder(tmp_path / "run") as new:
            new.write_model(contents("fitted"))
            raise DataError("no scores")

    (tmp_path / "run-unfinished").mkdir()  # of an earlier run

    kept = tmp_path / "run-unfinished-2"
    with pytest.raises(DataError, match=rf"no scores\. The fitted model is in {kept}: .*predict"):
        fail()
    assert (kept / "model" / "weights").read_text() == "fitted"
    assert names(tmp_path) == ["run-unfinished", "run-unfinished-2"]


def test_an_error_before_the_fit_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^no images$"), new_run_folder(tmp_path / "run"):
        raise DataError("no images")
    assert names(tmp_path) == []


def test_results_that_cannot_be_written_go_to_another_folder(
    tmp_path: Path, temporary: Path
) -> None:
    target = tmp_path / "disk" / "run"
    target.parent.mkdir()
    with new_run_folder(target) as new:
        new.write_model(contents("fitted"))
        # The disk goes away.
        (tmp_path / "disk").rename(tmp_path / "gone")
        (tmp_path / "disk").write_text("")

        with pytest.raises(ResultsError, match=r"cannot be written to .*Not a dir") as e:
            new.finish(contents("all"))

    kept = temporary / "glasses-spark-run-results"
    assert e.value.folder == kept
    assert str(kept) in str(e.value)
    assert (kept / "metrics.json").read_text() == "all"
    assert names(temporary) == ["glasses-spark-run-results"]


def test_complete_results_that_cannot_be_put_in_their_place_stay_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "run"
    with new_run_folder(target) as new:
        new.write_model(contents("fitted"))
        target.write_text("a file of somebody else")

        with pytest.raises(ResultsError) as error:
            new.finish(contents("all"))

    assert error.value.folder == tmp_path / "run-results"
    assert (tmp_path / "run-results" / "metrics.json").read_text() == "all"
    assert names(tmp_path) == ["run", "run-results"]


def test_a_mistake_in_the_results_is_reported_once_and_keeps_the_model(
    tmp_path: Path, temporary: Path
) -> None:
    folders = []

    def fail(folder: Path) -> None:
        folders.append(folder)
        raise DataError("no such column")

    def run() -> None:
        with new_run_folder(tmp_path / "run") as new:
            new.write_model(contents("fitted"))
            new.finish(fail)

    with pytest.raises(DataError, match=r"no such column\. The fitted model is in"):
        run()
    assert len(folders) == 2
    assert names(temporary) == []
    assert names(tmp_path) == ["run-unfinished", "temporary"]


def test_a_model_that_cannot_be_written_beside_the_target_goes_to_another_folder(
    tmp_path: Path, temporary: Path
) -> None:
    (tmp_path / "file").write_text("")

    def run() -> None:
        with new_run_folder(tmp_path / "file" / "run") as new:
            new.write_model(contents("fitted"))
            raise DataError("no scores")

    kept = temporary / "glasses-spark-run-unfinished"
    with pytest.raises(DataError, match=str(kept)):
        run()
    assert (kept / "model" / "weights").read_text() == "fitted"


def test_a_file_or_other_contents_at_the_path_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"expected a folder for the results, but .* is a file"):
        check_target(tmp_path / "file")
    with pytest.raises(ConfigError, match="is not empty and not a run folder"):
        check_target(tmp_path)
