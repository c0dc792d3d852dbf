"""Certificates: credentials for mutual TLS, made for each fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

# Name in the server's certificate. Workers check it instead of a host name, because
# the driver's address may be any, and they trust no other certificate.
SERVER_NAME = "parameter-server.glasses-spark"
WORKER_NAME = "worker.glasses-spark"

# Certificates are checked when a connection opens, so this limits the length of a fit.
VALIDITY = timedelta(days=30)

# The clocks of driver and executors may differ.
CLOCK_SKEW = timedelta(days=1)


@dataclass(frozen=True)
class KeyPair:
    """A self-signed certificate and its private key, both in PEM.

    ``repr`` leaves out the key, so that no log shows it.
    """

    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Credentials:
    """Credentials of one end of a connection.

    Attributes:
        own: Its own certificate and key.
        trusted: The only certificate that it trusts, in PEM.
    """

    own: KeyPair
    trusted: bytes


def make_credentials() -> tuple[Credentials, Credentials]:
    """Make the credentials of one fit.

    Returns:
        Credentials of the server and credentials of its workers. Each end trusts
        only the certificate of the other, so nobody else can connect.
    """
    server, worker = _make_pair(SERVER_NAME), _make_pair(WORKER_NAME)
    return Credentials(server, worker.certificate), Credentials(worker, server.certificate)


def _make_pair(name: str) -> KeyPair:
    # Imported here because workers receive credentials and make none.
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
        # A self-signed certificate must be marked as an authority to be its own root.
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
