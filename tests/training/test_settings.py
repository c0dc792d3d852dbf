"""Tests for glasses_spark.training.settings."""

from __future__ import annotations

from typing import Any

import pytest

from glasses_spark.errors import ConfigError
from glasses_spark.training.settings import SETTINGS, FitSettings


def test_a_setting_of_the_file_is_a_setting_of_the_fit() -> None:
    shared = {"epochs", "learning_rate", "precision", "cpu_kernels", "parameter_server_port"}
    own = {"seed", "validation_split", "categorical", "nb_classes", "class_weight"}
    assert shared | own <= SETTINGS.keys()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"epochs": 0}, "epochs: expected a whole number >= 1, got 0"),
        ({"validation_split": 1.0}, "validation_split: expected a number from 0 to 1, 1 excluded"),
        ({"nb_classes": 0}, "nb_classes: expected a whole number >= 1, got 0"),
        ({"class_weight": {1.0: -2}}, "class_weight: expected a number >= 0 for each label"),
        ({"seed": 0.5}, "seed: expected a whole number, got 0.5"),
    ],
)
def test_a_wrong_value_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=f"configuration: {message}"):
        FitSettings(**values)


def test_only_categorical_labels_have_classes() -> None:
    assert FitSettings(categorical=True, nb_classes=3).classes == 3
    assert FitSettings(categorical=False, nb_classes=3).classes is None
