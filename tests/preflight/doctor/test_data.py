"""Tests for glasses_spark.preflight.doctor.data."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from glasses_spark.preflight.doctor.check import FAILED, OK, WARNING, Check
from glasses_spark.preflight.doctor.data import check_balance, check_data, check_inputs
from glasses_spark.preflight.doctor.survey import Survey
from tests.faces import noise_png, write_faces, write_labels

LABELS: dict[int, str | float] = {1: 1.0, 2: 0.0, 3: 1.0, 4: ""}
NAMES = ["1.png", "2.png", "3.png", "4.png"]


def checks_of(
    tmp_path: Path,
    names: list[str] | dict[str, bytes],
    labels: dict[int, str | float],
    limit: int = 0,
) -> dict[str, Check]:
    images = write_faces(tmp_path / "faces", names)
    path = write_labels(tmp_path / "labels.csv", labels)
    survey, checks = check_inputs(str(images), str(path), glob="*.png")
    assert survey is not None
    data_checks = check_data(survey, limit=limit, max_bad_fraction=0.01, balanced=False)
    return {check.name: check for check in [*checks, *data_checks]}


def test_consistent_data_pass_all_checks(tmp_path: Path) -> None:
    checks = checks_of(tmp_path, NAMES, LABELS)

    assert {check.verdict for check in checks.values()} == {OK}
    assert checks["Labels and images"].found == "3 of 4 images are used; undefined 1: 4.png"
    assert checks["Class balance"].found == "2 with glasses (66.7%), 1 without (33.3%)"
    assert checks["Labels"].found.endswith("labels.csv, 1 of them undefined")


@pytest.mark.parametrize(
    ("names", "labels", "name", "verdict", "message"),
    [
        ([*NAMES, "me.png"], LABELS, "File names", WARNING, "without a number 1: me.png"),
        ([*NAMES, "5.png"], LABELS, "Labels and images", WARNING, "unlabelled 1: 5.png"),
        (NAMES[:3], LABELS, "Labels and images", WARNING, "labels without image 1: 4"),
        (
            [*NAMES, "face-1.png"],
            LABELS,
            "File names",
            FAILED,
            "with the number of another file 1: ",
        ),
        ([*NAMES, "a:5.png"], LABELS, "File names", FAILED, "with a colon 1: a:5.png"),
        (NAMES, {7: 1.0}, "Labels and images", FAILED, "0 of 4 images are used, 1 labels"),
        (NAMES, {1: 1.0, 2: 1.0}, "Class balance", WARNING, "2 with glasses (100.0%)"),
        (NAMES, {1: 2.0}, "Labels", FAILED, "label is neither 0 nor 1"),
    ],
)
def test_a_problem_with_the_data_is_reported(
    tmp_path: Path,
    names: list[str],
    labels: dict[int, str | float],
    name: str,
    verdict: str,
    message: str,
) -> None:
    check = checks_of(tmp_path, names, labels)[name]

    assert check.verdict == verdict
    assert message in check.found
    assert check.wanted
    assert check.advice


def test_a_limit_reduces_the_number_of_images_used(tmp_path: Path) -> None:
    checks = checks_of(tmp_path, NAMES, LABELS, limit=2)

    assert checks["Labels and images"].found.startswith("2 of 4 images are used")


@pytest.mark.parametrize(
    ("files", "verdict", "message"),
    [
        (
            {"1.png": noise_png(), "2.png": b"GIF89a.."},
            WARNING,
            "1 of 2 sampled files cannot be decoded (1: 2.png (not a PNG file",
        ),
        (
            {"1.png": b"GIF89a..", "2.png": b"GIF89a.."},
            FAILED,
            "2 of 2 sampled files cannot be decoded",
        ),
        ({"1.png": noise_png(), "2.png": b""}, FAILED, "empty 1: 2.png"),
    ],
)
def test_files_that_cannot_be_decoded_are_named(
    tmp_path: Path, files: dict[str, bytes], verdict: str, message: str
) -> None:
    check = checks_of(tmp_path, files, {1: 1.0, 2: 0.0})["PNG files"]

    assert check.verdict == verdict
    assert message in check.found


@pytest.mark.parametrize(
    ("balanced", "verdict"),
    [(False, WARNING), (True, OK)],
)
def test_a_rare_label_is_a_warning_unless_the_classes_are_weighted(
    balanced: bool, verdict: str
) -> None:
    check = check_balance(Survey(labels=100, with_glasses=5, without_glasses=95), balanced=balanced)

    assert check.verdict == verdict
    assert ("class_weight=balanced" in check.advice) is not balanced


def test_a_missing_folder_of_images_fails(tmp_path: Path) -> None:
    write_labels(tmp_path / "labels.csv", LABELS)

    _, checks = check_inputs(str(tmp_path / "none"), str(tmp_path / "labels.csv"), glob="*.png")

    assert checks[1].found.endswith("none: no file matches '*.png'")
    assert (checks[1].verdict, checks[0].verdict) == (FAILED, OK)


@pytest.mark.parametrize("scheme", ["", "file:", "file://"])
def test_a_missing_labels_file_fails(tmp_path: Path, scheme: str) -> None:
    labels = f"{scheme}{tmp_path}/none.csv"

    _, checks = check_inputs(str(tmp_path), labels, glob="*.png")

    assert (checks[0].verdict, checks[0].found) == (FAILED, f"{labels}: no such file")


def test_remote_data_are_not_checked_and_secrets_in_their_addresses_are_not_shown() -> None:
    survey, checks = check_inputs(
        "hdfs:///faces", "https://me:secret@host/labels.csv?token=secret", glob="*.png"
    )

    assert survey is None
    assert [check.verdict for check in checks] == [OK, OK]
    assert all("--spark" in check.advice for check in checks)
    assert "secret" not in repr(checks)


def test_names_that_are_not_utf8_are_a_warning_and_too_many_a_failure(tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    write_faces(faces, [f"{n}.png" for n in range(1, 5)])
    with open(os.fsencode(faces) + b"/caf\xe9-5.png", "wb") as file:
        file.write(noise_png())

    checks = checks_of(tmp_path, NAMES, LABELS)

    assert checks["File names"].verdict == WARNING
    assert checks["File names"].found == r"not valid UTF-8 1: caf\xe9-5.png"
    assert checks["PNG files"].verdict == FAILED  # 1 of 5, at most 1 % may be bad
    assert "Rename these files" in checks["PNG files"].advice
