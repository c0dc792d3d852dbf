"""Tests for glasses_spark.config.section."""

from __future__ import annotations

import pytest

from glasses_spark.config.section import check_values, declared_keys, suggest
from glasses_spark.config.training import TrainingConfig, TrainingSettings
from glasses_spark.errors import ConfigError


def test_a_section_lists_all_wrong_values() -> None:
    with pytest.raises(ConfigError, match="configuration has 2 errors") as caught:
        TrainingConfig(epochs=0, mode="never")
    assert "training.epochs" in str(caught.value)
    assert "training.mode" in str(caught.value)


def test_a_section_keeps_values_in_the_type_of_the_field() -> None:
    config = TrainingConfig(stall_timeout=5, metrics=["AUC"])  # type: ignore[arg-type]
    assert isinstance(config.stall_timeout, float)
    assert config.metrics == ("AUC",)


def test_settings_outside_the_file_have_no_section_in_messages() -> None:
    with pytest.raises(ConfigError, match=r"^configuration: epochs: expected"):
        TrainingSettings(epochs=0)


def test_checked_values_and_messages_are_returned() -> None:
    accepted, problems = check_values(TrainingConfig, {"epochs": 3, "batch_size": 0, "batch": 1})
    assert accepted == {"epochs": 3}
    assert problems == [
        "training.batch_size: expected a whole number >= 1, got 0",
        "training.batch: unknown key; did you mean batch_size?",
    ]


def test_an_unknown_name_is_answered_with_the_closest_or_all() -> None:
    keys = declared_keys(TrainingConfig)
    assert suggest("epoch", keys) == "; did you mean epochs?"
    assert suggest("x", {"height": 1, "width": 2}) == "; known here: height, width"
