"""Tests for glasses_spark.training.server.certificates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509

from glasses_spark.training.server.certificates import make_credentials


def test_each_end_trusts_only_the_other_end() -> None:
    server, worker = make_credentials()
    assert server.trusted == worker.own.certificate
    assert worker.trusted == server.own.certificate
    assert server.own.key != worker.own.key


def test_each_fit_has_other_keys() -> None:
    first, _ = make_credentials()
    second, _ = make_credentials()
    assert first.own.key != second.own.key


def test_a_certificate_is_valid_now_and_for_weeks() -> None:
    server, _ = make_credentials()
    certificate = x509.load_pem_x509_certificate(server.own.certificate)
    now = datetime.now(UTC)
    assert certificate.not_valid_before_utc < now - timedelta(hours=12)
    assert certificate.not_valid_after_utc > now + timedelta(days=28)


def test_repr_does_not_show_the_private_key() -> None:
    server, _ = make_credentials()
    assert "PRIVATE" in server.own.key.decode()
    assert "PRIVATE" not in repr(server)
