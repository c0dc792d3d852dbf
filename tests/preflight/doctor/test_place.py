"""Tests for glasses_spark.preflight.doctor.place."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from glasses_spark.preflight.doctor.check import FAILED, OK, WARNING
from glasses_spark.preflight.doctor.place import check_modules, check_place, check_user


def test_a_usual_place_passes_all_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPARK_LOCAL_DIRS", str(tmp_path))
    verdicts = {check.name: check.verdict for check in check_place({})}
    assert list(verdicts) == [
        "Current folder",
        "Temporary folder",
        "Spark's local folder",
        "PYSPARK_SUBMIT_ARGS",
        "User",
        "Search path",
    ]
    assert set(verdicts.values()) == {OK}


def test_local_folders_that_cannot_be_made_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SPARK_LOCAL_DIRS", "/proc/nothing")
    (failed,) = [check for check in check_place({}) if check.verdict == FAILED]
    assert failed.name == "Spark's local folder"
    assert failed.found.startswith("SPARK_LOCAL_DIRS: cannot write /proc/nothing (")


def test_after_a_removed_folder_nothing_else_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    (check,) = check_place({})
    assert (check.name, check.verdict, check.found) == ("Current folder", FAILED, "it was removed")


def test_a_user_without_an_entry_is_a_warning_with_the_name_for_hadoop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unknown(number: int) -> None:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("HADOOP_USER_NAME", "SPARK_USER", "LOGNAME", "USER"):
        monkeypatch.delenv(name, raising=False)
    check = check_user()
    assert check.verdict == WARNING
    assert f"uid-{os.getuid()}" in check.found
    monkeypatch.setenv("HADOOP_USER_NAME", "ada")
    assert "gets the name ada" in check_user().found


def test_files_that_hide_modules_are_named() -> None:
    check = check_modules(["/job/keras.py", "/job/random.py"])
    assert (check.verdict, check.found) == (WARNING, "/job/keras.py, /job/random.py")
