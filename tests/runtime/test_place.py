"""Tests for glasses_spark.runtime.place."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from glasses_spark.errors import SetupError
from glasses_spark.runtime.place import (
    CURRENT,
    LOCAL,
    TEMPORARY,
    Defect,
    complete_submit_arguments,
    find_defects,
    require_place,
)


def defects(conf: dict[str, str] | None = None, **environment: str) -> dict[str, Defect]:
    return {defect.name: defect for defect in find_defects(conf or {}, environment)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file, below which nothing can be created, not even by root."""
    path = tmp_path / "file"
    path.write_text("")
    return path


def test_a_usual_place_has_no_defect_and_stays_as_it_is(tmp_path: Path) -> None:
    local = tmp_path / "new" / "local"
    assert defects(SPARK_LOCAL_DIRS=str(local)) == {}
    require_place({"spark.local.dir": str(local)})
    assert list(tmp_path.iterdir()) == []


def test_a_current_folder_that_was_removed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert list(defects()) == [CURRENT]
    with pytest.raises(SetupError, match=r"^Spark cannot start: current folder: it was removed"):
        require_place({})


def test_a_current_folder_that_cannot_be_written_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/proc")  # not even by root
    assert defects()[CURRENT].found.startswith("/proc cannot be written (")


def test_local_folders_count_as_spark_counts_them(tmp_path: Path, file: Path) -> None:
    bad, good = str(file / "local"), str(tmp_path)
    reason = "Not a directory"
    assert defects(SPARK_LOCAL_DIRS=bad)[LOCAL].found == (
        f"SPARK_LOCAL_DIRS: cannot write {bad} ({reason})"
    )
    assert defects({"spark.local.dir": f"{bad},{bad}"})[LOCAL].found == (
        f"spark.local.dir: cannot write {bad} ({reason}), {bad} ({reason})"
    )
    # Spark goes on with those that can be written. The variable takes precedence.
    assert defects(SPARK_LOCAL_DIRS=f"{bad},{good}") == {}
    assert defects({"spark.local.dir": bad}, SPARK_LOCAL_DIRS=good) == {}
    assert LOCAL in defects({"spark.local.dir": good}, SPARK_LOCAL_DIRS=bad)


def test_a_temporary_folder_of_java_that_cannot_be_written_is_named(
    tmp_path: Path, file: Path
) -> None:
    option = f"-Djava.io.tmpdir={file}/java"
    found = f"{file}/java, that of Java, cannot be written (no such folder)"
    assert defects(JAVA_TOOL_OPTIONS=option)[TEMPORARY].found == found
    assert TEMPORARY in defects({"spark.driver.extraJavaOptions": f"-Dx=y {option}"})
    good = f"-Djava.io.tmpdir={tmp_path}"
    assert defects({"spark.driver.extraJavaOptions": good}, JAVA_TOOL_OPTIONS=option) == {}


def test_a_machine_without_a_temporary_folder_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", missing)
    assert list(defects()) == [TEMPORARY]


@pytest.mark.parametrize(
    ("given", "completed"),
    [
        ("--conf a=b", "--conf a=b pyspark-shell"),
        ("--conf 'a=b c' pyspark-shell", "--conf 'a=b c' pyspark-shell"),
        ("", "pyspark-shell"),
    ],
)
def test_submit_arguments_end_with_the_shell(
    monkeypatch: pytest.MonkeyPatch, given: str, completed: str
) -> None:
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", given)
    complete_submit_arguments()
    assert os.environ["PYSPARK_SUBMIT_ARGS"] == completed


def test_submit_arguments_that_are_none_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "--conf 'a")
    with pytest.raises(
        SetupError, match=r"PYSPARK_SUBMIT_ARGS: --conf 'a \(No closing quotation\)"
    ):
        require_place({})
    monkeypatch.delenv("PYSPARK_SUBMIT_ARGS")
    complete_submit_arguments()
    assert "PYSPARK_SUBMIT_ARGS" not in os.environ


@pytest.mark.parametrize("command", [["doctor"], ["train", "--set", "data.images=/faces"]])
def test_a_command_in_a_removed_folder_names_it(tmp_path: Path, command: list[str]) -> None:
    program = (
        "import os, sys\n"
        "from glasses_spark.cli.main import program\n"
        "os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone')\n"
        "program(sys.argv[1:])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *command],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "it was removed" in done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1
