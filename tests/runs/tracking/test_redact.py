"""Tests for glasses_spark.runs.tracking.redact."""

from __future__ import annotations

import pytest

from glasses_spark.runs.tracking.redact import (
    REDACTED,
    holds_password,
    is_secret,
    secrets_in,
    without_credentials,
)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("spark.conf.spark.hadoop.fs.s3a.secret.key", True),
        ("spark.conf.spark.hadoop.fs.s3a.access.key", True),
        ("spark.conf.spark.ssl.keyPassword", True),
        ("spark.conf.spark.executor.memory", False),
        ("training.epochs", False),
    ],
)
def test_settings_are_secret_by_sparks_own_rule(name: str, secret: bool) -> None:
    assert is_secret(name) is secret
    assert secrets_in({name: "value"}) == ({"value"} if secret else set())


def test_switches_with_a_secret_name_are_no_secrets() -> None:
    assert secrets_in({"a.token.on": "true", "b.password": "", "c.secret": "false"}) == set()


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("see https://me:pw@host/a", "see https://host/a"),
        ("https://token@host/a and s3a://k:s@bucket", "https://host/a and s3a://bucket"),
        ("https://me:p@ss@host/a", "https://host/a"),
        ("https://host/a@b", "https://host/a@b"),
        ("mail me@host", "mail me@host"),
    ],
)
def test_users_and_passwords_are_taken_out_of_uris(text: str, safe: str) -> None:
    assert without_credentials(text) == safe
    assert holds_password(text) == (text != safe)


def test_secrets_are_taken_out_however_the_text_spells_them() -> None:
    secret = 'p"&\\ss'
    texts = [f"plain {secret}", 'toml = "p\\"&\\\\ss"', "html p&quot;&amp;\\ss"]
    for text in texts:
        assert without_credentials(text, [secret, "p"]).count(REDACTED) >= 1
        assert "ss" not in without_credentials(text, [secret])
