"""Tests for glasses_spark.runs.tracking.redact."""

from __future__ import annotations

import pytest

from glasses_spark.runs.tracking.redact import (
    REDACTED,
    holds_password,
    secrets_in,
    without_credentials,
)


@pytest.mark.parametrize(
    ("name", "is_secret"),
    [
        ("spark.conf.spark.hadoop.fs.s3a.secret.key", True),
        ("spark.conf.spark.hadoop.fs.s3a.access.key", True),
        ("spark.conf.spark.ssl.keyPassword", True),
        ("spark.conf.spark.executor.memory", False),
        ("training.epochs", False),
    ],
)
def test_settings_are_secret_by_sparks_rule(name: str, is_secret: bool) -> None:
    assert secrets_in({name: "value"}) == ({"value"} if is_secret else set())


def test_switches_and_empty_values_are_not_secret() -> None:
    assert secrets_in({"a.token.on": "true", "b.password": "", "c.secret": "false"}) == set()


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("see https://me:pw@host/a", "see https://host/a"),
        ("https://token@host/a and s3a://k:s@bucket", "https://host/a and s3a://bucket"),
        ("https://me:p@ss@host/a", "https://host/a"),
        ("https://host/a@b", "https://host/a@b"),
        ("mail me@host", "mail me@host"),
    ],
)
def test_users_and_passwords_in_uris_are_removed(text: str, redacted: str) -> None:
    assert without_credentials(text) == redacted
    assert holds_password(text) == (text != redacted)


def test_secrets_are_redacted_in_every_spelling() -> None:
    secret = 'p"&\\ss'
    texts = [f"plain {secret}", 'toml = "p\\"&\\\\ss"', "html p&quot;&amp;\\ss"]
    for text in texts:
        assert without_credentials(text, [secret, "p"]).count(REDACTED) >= 1
        assert "ss" not in without_credentials(text, [secret])
