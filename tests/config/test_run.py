"""Tests for glasses_spark.config.run."""

from __future__ import annotations

import pytest

from tests.config.messages import message_of


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("run.dir=", 'run.dir: expected a folder or URI, got ""'),
        ("run.seed=-1", "run.seed: expected a whole number from 0 to 2147483647, got -1"),
        (
            "run.resume=1",
            "run.resume: expected true or false, got 1",
        ),
        (
            "spark.conf.executor.memory=4g",
            'spark.conf: expected a table of Spark settings whose names start with "spark.", '
            "each a string, a number, true or false, got {'executor.memory': '4g'}",
        ),
        (
            "tracking.registered_model=a/b",
            "tracking.registered_model: expected a name without / and :, or an empty string, "
            'got "a/b"',
        ),
        ("tracking.experiment=", 'tracking.experiment: expected a non-empty string, got ""'),
    ],
)
def test_a_wrong_value_is_refused_with_key_and_expected_value(override: str, message: str) -> None:
    assert message_of(override) == f"configuration: {message}"


def test_a_password_in_the_tracking_uri_is_refused_and_not_shown() -> None:
    message = message_of("tracking.uri=https://me:hunter2@host/mlflow")

    assert "tracking.uri: expected a URI without user and password" in message
    assert "MLFLOW_TRACKING_PASSWORD" in message
    assert "hunter2" not in message
