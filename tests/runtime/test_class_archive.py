"""Tests for glasses_spark.runtime.class_archive, with the Java that is installed here."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from glasses_spark.runtime.class_archive import VARIABLE, archive_options, archive_path
from glasses_spark.runtime.java import Java, find_java, launcher_home


@pytest.fixture
def jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(VARIABLE, raising=False)
    folder = tmp_path / "jars"
    folder.mkdir()
    (folder / "spark-core_2.13-4.0.0.jar").write_bytes(b"jar")
    return folder


@pytest.fixture
def _base_archive() -> None:
    """Skip a test if Java has no base archive, which the archive of Spark's classes extends."""
    command = [str(find_java().home / "bin" / "java"), "-Xshare:on", "-version"]
    if subprocess.run(command, capture_output=True, check=False, timeout=60).returncode != 0:
        pytest.skip("this Java has no base class archive, as the one from PyPI")


JAVA = Java(Path("/java"), "17.0.1", "PATH")


def test_only_the_second_whole_run_writes_an_archive(jars: Path) -> None:
    assert archive_options(JAVA, jars, write=True) == []
    written = archive_options(JAVA, jars, write=True)
    assert f"-XX:ArchiveClassesAtExit={archive_path(JAVA, jars)}.{os.getpid()}" in written


def test_other_work_writes_none(jars: Path) -> None:
    for _ in range(3):
        assert archive_options(JAVA, jars, write=False) == []


def test_an_archive_is_used_by_all(jars: Path) -> None:
    archive = archive_path(JAVA, jars)
    archive.parent.mkdir(parents=True)
    archive.touch()
    for write in (True, False):
        options = archive_options(JAVA, jars, write=write)
        assert f"-XX:SharedArchiveFile={archive}" in options


def test_other_jars_and_another_java_have_another_archive(jars: Path) -> None:
    first = archive_path(JAVA, jars)
    assert archive_path(Java(JAVA.home, "21.0.8", "PATH"), jars) != first
    (jars / "spark-core_2.13-4.0.0.jar").write_bytes(b"another jar")
    assert archive_path(JAVA, jars) != first


def test_archives_can_be_declined(jars: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive_options(JAVA, jars, write=True)
    monkeypatch.setenv(VARIABLE, "0")
    assert archive_options(JAVA, jars, write=True) == []


def test_a_cache_folder_that_cannot_be_written_is_done_without(
    jars: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = jars / "a file"
    file.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(file).replace(" ", "-"))
    file.rename(str(file).replace(" ", "-"))
    for _ in range(2):
        assert archive_options(JAVA, jars, write=True) == []


@pytest.mark.usefixtures("_base_archive")
def test_the_launcher_gives_a_whole_archive_its_name_and_removes_a_broken_one(
    jars: Path, tmp_path: Path
) -> None:
    launcher = launcher_home(find_java().home / "bin" / "java") / "bin" / "java"
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
@pytest.mark.usefixtures("_base_archive")
def test_a_session_starts_from_an_archive_that_a_session_before_it_wrote(
    tmp_path: Path,
) -> None:
    program = """
from glasses_spark.runtime.session import spark_session

with spark_session(keep_classes=True) as spark:
    print(spark.range(3).count())
    bean = spark._jvm.java.lang.management.ManagementFactory.getRuntimeMXBean()
    print(*bean.getInputArguments())
"""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    environment.pop("PYSPARK_GATEWAY_PORT", None)
    told = []
    for _ in range(3):
        # Its end is that of the JVM, which holds the other end of standard error.
        done = subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            timeout=200,
            env=environment,
        )
        assert done.stdout.startswith("3\n")
        assert done.stderr == ""
        told.append(done.stdout)
    assert "Archive" not in told[0]
    assert "ArchiveClassesAtExit" in told[1]
    assert f"-XX:SharedArchiveFile={tmp_path}" in told[2]
