"""Credentials: certificates made afresh for each fit, for both ends of its connections."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

# The name in the server's certificate. Workers check it in place of a host name,
# because the driver's address may be anything, and no other certificate is trusted.
SERVER_NAME = "parameter-server.glasses-spark"
WORKER_NAME = "worker.glasses-spark"

# Certificates are checked when a connection opens; this bounds the longest fit.
VALIDITY = timedelta(days=30)

# Clocks of driver and executors may differ.
CLOCK_SKEW = timedelta(days=1)


@dataclass(frozen=True)
class KeyPair:
    """A self-signed certificate and its private key, both in PEM.

    The key stays out of ``repr``, so that no log can show it.
    """

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Credentials:
    """What one end needs: its own pair, and the only certificate that it trusts."""

    own: KeyPair
    trusted: bytes


def make_credentials() -> tuple[Credentials, Credentials]:
    """Make the credentials of one fit.

    Returns:
        Those of the server and those of its workers. Each end trusts just the
        other's certificate, so nobody else can speak or listen.
    """
    server, worker = _make_pair(SERVER_NAME), _make_pair(WORKER_NAME)
    return Credentials(server, worker.certificate), Credentials(worker, server.certificate)


def _make_pair(name: str) -> KeyPair:
    # Imported here: workers receive credentials, they make none.
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        # A certificate that is its own root must call itself one.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return KeyPair(
        certificate=certificate.public_bytes(serialization.Encoding.PEM),
        key=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
