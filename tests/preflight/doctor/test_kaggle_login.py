"""Tests for glasses_spark.preflight.doctor.kaggle_login."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from glasses_spark.preflight.doctor.check import OK, WARNING
from glasses_spark.preflight.doctor.kaggle_login import check_kaggle

SECRET = "b1946ac92492d2347c6235b4d2611184"


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({"KAGGLE_API_TOKEN": SECRET}, "in the variable KAGGLE_API_TOKEN"),
        (
            {"KAGGLE_USERNAME": "me", "KAGGLE_KEY": SECRET},
            "in the variables KAGGLE_USERNAME and KAGGLE_KEY",
        ),
    ],
)
def test_a_credential_in_variables_is_found_and_not_shown(
    tmp_path: Path, environment: dict[str, str], found: str
) -> None:
    check = check_kaggle(environment, home=tmp_path, needed=True)

    assert (check.verdict, check.found) == (OK, found)
    assert SECRET not in repr(check)


@pytest.mark.parametrize("file", [".kaggle/kaggle.json", ".config/kaggle/kaggle.json"])
def test_a_credential_in_a_file_is_found_and_not_shown(tmp_path: Path, file: str) -> None:
    path = write(tmp_path / file, json.dumps({"username": "me", "key": SECRET}))

    check = check_kaggle({}, home=tmp_path, needed=True)

    assert (check.verdict, check.found) == (OK, f"in {path}")
    assert SECRET not in repr(check)


def test_the_configured_folder_replaces_the_default_ones(tmp_path: Path) -> None:
    write(tmp_path / ".kaggle" / "kaggle.json", json.dumps({"username": "me", "key": SECRET}))
    environment = {"KAGGLE_CONFIG_DIR": str(tmp_path / "other")}

    assert check_kaggle(environment, home=tmp_path, needed=True).verdict == WARNING


@pytest.mark.parametrize(
    ("name", "text", "mode", "defect"),
    [
        ("kaggle.json", f"key: {SECRET}", 0o600, "it is not JSON"),
        ("kaggle.json", f'{{"key": "{SECRET}"}}', 0o600, "it has no username"),
        ("kaggle.json", "[]", 0o600, "it has no username and no key"),
        ("access_token", " \n", 0o600, "it is empty"),
        ("access_token", SECRET, 0o644, "other users can read"),
    ],
)
def test_an_unusable_file_is_a_warning_with_the_reason(
    tmp_path: Path, name: str, text: str, mode: int, defect: str
) -> None:
    path = write(tmp_path / ".kaggle" / name, text, mode)

    check = check_kaggle({}, home=tmp_path, needed=True)

    assert check.verdict == WARNING
    assert check.found.startswith(str(path))
    assert defect in check.found
    assert SECRET not in repr(check)


def test_a_missing_credential_is_a_warning_only_if_images_are_missing(tmp_path: Path) -> None:
    missing = check_kaggle({}, home=tmp_path, needed=True)

    assert (missing.verdict, missing.found) == (WARNING, "none")
    assert "kaggle auth login" in missing.advice
    assert check_kaggle({}, home=tmp_path, needed=False).verdict == OK
