"""Tests for glasses_spark.preflight.doctor.keras_settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from glasses_spark.preflight.doctor.check import FAILED, OK
from glasses_spark.preflight.doctor.keras_settings import check_keras_settings


@pytest.mark.parametrize(
    ("contents", "verdict", "summary"),
    [
        ("", OK, "tensorflow, float32, channels_last"),
        ('{"image_data_format": "channels_first"}', OK, "tensorflow, float32, channels_first"),
        ('{"floatx": "float64"}', OK, "tensorflow, float64, channels_last"),
        ('{"floatx": "float16"}', FAILED, "tensorflow, float16, channels_last"),
        ('{"backend": "jax"}', FAILED, "got the backend 'jax' from"),
        ('{"epsilon": "small"}', FAILED, "epsilon: expected a number"),
    ],
)
def test_the_settings_of_keras_are_checked(
    tmp_path: Path, contents: str, verdict: str, summary: str
) -> None:
    (tmp_path / "keras.json").write_text(contents)
    check = check_keras_settings({"KERAS_HOME": str(tmp_path)})
    assert check.verdict == verdict
    assert summary in check.found
    assert str(tmp_path) in check.found
    assert bool(check.advice) is (verdict == FAILED)
