"""Tests for glasses_spark.config.data."""

from __future__ import annotations

import dataclasses

import pytest

from glasses_spark.config.data import DataConfig, SplitConfig
from glasses_spark.errors import ConfigError
from tests.config.messages import message_of


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.images=", 'data.images: expected a folder, glob or URI, got ""'),
        ("data.limit=1", "data.limit: expected a whole number >= 2, or 0, got 1"),
        ("image.height=8", "image.height: expected a whole number from 16 to 1024, got 8"),
        ("image.channels=3", "image.channels: unknown key; known here: height, width"),
        ("split.test=1", "split.test: expected a number between 0 and 1, both excluded, got 1"),
        ("split.test=nan", "split.test: expected a number between 0 and 1, both excluded, got nan"),
        (
            "split.validation=0.8",
            "split.test and split.validation: expected a sum below 1, which leaves images to "
            "train on, got 0.2 and 0.8",
        ),
        (
            "data.labels_sha256=abc",
            'data.labels_sha256: expected 64 hex digits, or an empty string, got "abc"',
        ),
    ],
)
def test_a_wrong_value_is_refused_with_key_and_expected_value(override: str, message: str) -> None:
    assert message_of(override) == f"configuration: {message}"


def test_a_changed_copy_is_checked_too() -> None:
    with pytest.raises(ConfigError, match=r"split\.test"):
        dataclasses.replace(SplitConfig(), test=0.0)


def test_no_bad_image_is_accepted_with_on_bad_fail() -> None:
    assert DataConfig(max_bad_fraction=0.5).allowed_bad_fraction == 0.5
    assert DataConfig(max_bad_fraction=0.5, on_bad="fail").allowed_bad_fraction == 0.0
