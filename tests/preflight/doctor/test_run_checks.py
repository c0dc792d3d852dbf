"""Tests for glasses_spark.preflight.doctor.run_checks."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from glasses_spark.config.config import Config
from glasses_spark.preflight.doctor.check import FAILED, OK, Check
from glasses_spark.preflight.doctor.run_checks import check_machine, check_run, check_started
from glasses_spark.preflight.footprint import GIB
from tests.faces import write_faces, write_labels


@pytest.fixture
def data(tmp_path: Path) -> dict[str, Any]:
    """The configuration of a run with four small images."""
    images = write_faces(tmp_path / "faces", [f"{number}.png" for number in range(4)])
    labels = write_labels(tmp_path / "labels.csv", {number: number % 2 for number in range(4)})
    return {
        "data": {"images": str(images), "labels": str(labels)},
        "store": {"dir": str(tmp_path / "pixels")},
        "run": {"dir": str(tmp_path / "run")},
        "spark": {"master": "local[2]"},
    }


def failed(checks: list[Check]) -> dict[str, str]:
    """Map the names of the failed checks to what they found."""
    return {check.name: check.found for check in checks if check.verdict == FAILED}


def test_checking_the_machine_imports_neither_tensorflow_nor_spark() -> None:
    program = (
        "import sys; from glasses_spark.preflight.doctor.run_checks import check_machine; "
        "check_machine(); "
        "print(sorted({'tensorflow', 'pyspark', 'cv2'} & set(sys.modules)))"
    )

    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert result.stdout == b"[]\n"


def test_the_machine_of_these_tests_passes_all_checks() -> None:
    checks = check_machine()

    assert failed(checks) == {}
    assert [check.name for check in checks[:2]] == ["Python", "Java"]


def test_a_valid_run_passes_all_checks(data: dict[str, Any]) -> None:
    checks = check_run(Config.from_dict(data))

    assert failed(checks) == {}
    names = {check.name for check in checks}
    assert names >= {"Task slots", "Parameter server", "Labels and images", "Pixel store"}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("section", "changed", "name"),
    [
        ("spark", {"master": "local[x]"}, "Spark master"),
        ("data", {"glob": "*.gif"}, "Images"),
        ("data", {"labels": "none.csv"}, "Labels"),
        ("run", {"dir": "/dev/null/run"}, "Run folder"),
        ("run", {"dir": "file:/dev/null/run"}, "Run folder"),
        ("store", {"dir": "/dev/null/pixels"}, "Store folder"),
        ("spark", {"conf": {"spark.driver.bindAddress": "192.0.2.1"}}, "Parameter server"),
    ],
)
def test_each_section_of_the_configuration_is_checked(
    data: dict[str, Any], section: str, changed: dict[str, Any], name: str
) -> None:
    data[section] = {**data.get(section, {}), **changed}

    assert name in failed(check_run(Config.from_dict(data)))


def test_the_run_folder_is_tried_as_a_run_does(data: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "run").symlink_to(tmp_path / "gone")
    found = f"{tmp_path}/run is a link to {tmp_path}/gone, which does not exist"
    assert failed(check_run(Config.from_dict(data))) == {"Run folder": found}


def test_a_port_in_use_fails(data: dict[str, Any]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        data["training"] = {"port": server.getsockname()[1]}

        assert list(failed(check_run(Config.from_dict(data)))) == ["Parameter server"]


def test_a_full_disk_fails(data: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "glasses_spark.preflight.doctor.run_checks.free_bytes", lambda folder: GIB - 1
    )

    assert set(failed(check_run(Config.from_dict(data)))) == {"Free disk", "Pixel store"}


def test_too_little_memory_fails(data: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glasses_spark.preflight.doctor.run_checks.total_memory", lambda: GIB)

    assert list(failed(check_run(Config.from_dict(data)))) == ["Memory"]


@pytest.mark.slow
@pytest.mark.usefixtures("spark")
def test_a_started_spark_lists_the_data(data: dict[str, Any]) -> None:
    good = check_started(Config.from_dict(data))
    data["data"]["glob"] = "*.gif"
    bad = check_started(Config.from_dict(data))

    assert {check.verdict for check in good} == {OK}
    assert good[-1].found == "4 of 4 images are used"
    assert list(failed(bad)) == ["Listing by Spark"]


@pytest.mark.usefixtures("spark")
def test_a_spark_that_does_not_start_fails(
    data: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glasses_spark.runtime.spark_home.PYSPARK_VERSION", "5.1")

    checks = check_started(Config.from_dict(data))

    assert "wanted 5.1" in failed(checks)["Spark starts"]
