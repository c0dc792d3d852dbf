"""Tests for glasses_spark.training.server.rpc: authentication and malformed requests."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import grpc
import numpy as np
import pytest

from glasses_spark.errors import WorkerError
from glasses_spark.runtime.machine import LOOPBACK
from glasses_spark.runtime.open_files import reserve_files
from glasses_spark.training.server.certificates import SERVER_NAME, Credentials, make_credentials
from glasses_spark.training.server.parameter_server import SERVICE
from glasses_spark.training.server.protocol import CHUNK_BYTES, Message, encode
from glasses_spark.training.server.rpc import Channel, Response, RpcServer
from glasses_spark.training.weights import WeightLayout
from tests.paths import ROOT
from tests.training.server.served_fit import ServedFit

# Of strangers who say nothing.
CONNECTIONS: Final = 1500

JOIN = b"".join(encode({"worker": 0, "attempt": 0, "host": "x"}))


def secure_channel(port: int, credentials: Credentials) -> Any:
    tls = grpc.ssl_channel_credentials(
        credentials.trusted, credentials.own.key, credentials.own.certificate
    )
    options = [("grpc.ssl_target_name_override", SERVER_NAME)]
    return grpc.secure_channel(f"{LOOPBACK}:{port}", tls, options=options)


def raw_call(port: int, credentials: Credentials | None, request: bytes, method: str) -> bytes:
    """Send bytes to a method; without credentials, over an unencrypted connection."""
    if credentials is None:
        channel = grpc.insecure_channel(f"{LOOPBACK}:{port}")
    else:
        channel = secure_channel(port, credentials)
    with channel:
        response: bytes = channel.unary_unary(f"/{SERVICE}/{method}")(request, timeout=10)
        return response


def test_a_client_without_a_certificate_cannot_connect(fit: ServedFit) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        raw_call(fit.server.port, None, JOIN, "Join")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_client_with_the_certificate_of_another_fit_cannot_connect(fit: ServedFit) -> None:
    _, others = make_credentials()
    mixed = Credentials(others.own, fit.credentials.trusted)
    with pytest.raises(grpc.RpcError) as caught:
        raw_call(fit.server.port, mixed, JOIN, "Join")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_worker_does_not_connect_to_the_server_of_another_fit(fit: ServedFit) -> None:
    with ServedFit().server as other_server, pytest.raises(grpc.RpcError) as caught:
        raw_call(other_server.port, fit.credentials, JOIN, "Join")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    "request_bytes",
    [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x80\x04cos\nsystem\n(S'true'\ntR.", b"\xff" * 100],
)
def test_a_malformed_request_is_logged_and_changes_nothing(
    fit: ServedFit, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with pytest.raises(grpc.RpcError) as caught:
        raw_call(fit.server.port, fit.credentials, request_bytes, "Push")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "refused a call of Push from" in caplog.text
    assert fit.weights.version == 0


def test_a_message_longer_than_the_protocol_allows_is_refused(fit: ServedFit) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        raw_call(fit.server.port, fit.credentials, b"\0" * (8 << 20), "Push")
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert fit.weights.version == 0


def test_random_bytes_on_the_socket_do_not_stop_the_server(fit: ServedFit) -> None:
    with socket.create_connection((LOOPBACK, fit.server.port), timeout=5) as connection:
        connection.sendall(b"\x16\x03\x01" + b"\xff" * 2000)
    with fit.client() as client:
        assert not client.join().flag("stop")


@pytest.mark.rotated
def test_strangers_neither_keep_a_worker_out_nor_print_anything() -> None:
    reserve_files(CONNECTIONS)
    with (
        subprocess.Popen(
            [sys.executable, "-m", "tests.training.server.besieged_server"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
        ExitStack() as idle,
    ):
        assert process.stdout is not None
        port = int(process.stdout.readline())
        for _ in range(CONNECTIONS):
            idle.enter_context(socket.create_connection((LOOPBACK, port), timeout=5))
        for words in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + b"\xff" * 2000, b"\0" * 9):
            with socket.create_connection((LOOPBACK, port), timeout=5) as connection:
                connection.sendall(words)
        with pytest.raises(grpc.RpcError):
            raw_call(port, None, JOIN, "Join")
        output, errors = process.communicate("go\n", timeout=60)

    assert output == "False\n"
    assert errors == ""
    assert process.returncode == 0


def test_an_http_proxy_is_not_used(fit: ServedFit, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with fit.client() as client:
        assert not client.join().flag("stop")


# More than one chunk.
LARGE = WeightLayout(((CHUNK_BYTES // 2,),), (), "float32")


@pytest.fixture
def errors() -> list[Exception]:
    return []


@pytest.fixture
def large(errors: list[Exception]) -> Iterator[tuple[int, Credentials]]:
    """The port of a server that returns twice a large vector, and the credentials for it."""

    def double(message: Message) -> Response:
        return {"port": message.integer("port")}, 2 * message.update()

    own, workers = make_credentials()
    server = RpcServer(
        SERVICE,
        {"Double": double},
        own,
        LARGE,
        threads=2,
        connections=8,
        bind_address=LOOPBACK,
        on_error=errors.append,
    )
    server.start()
    yield server.port, workers
    server.stop()


def test_a_large_vector_is_sent_in_chunks(large: tuple[int, Credentials]) -> None:
    port, credentials = large
    vector = np.arange(LARGE.size, dtype=np.float32)
    with Channel(SERVICE, LOOPBACK, port, credentials, LARGE) as channel:
        answer = channel.call("Double", {"port": port}, vector, deadline=30)
        assert np.array_equal(answer.update(), 2 * vector)
        assert answer.integer("port") == port
        with pytest.raises(WorkerError, match=r"INVALID_ARGUMENT.* expected a payload of 4194304"):
            channel.call("Double", {"port": port}, vector[:-1], deadline=30)
        with pytest.raises(WorkerError, match=r"INVALID_ARGUMENT.*expected a vector"):
            channel.call("Double", {"port": port}, deadline=30)


def test_a_caller_that_dies_in_the_middle_of_a_vector_does_not_end_the_fit(
    large: tuple[int, Credentials], errors: list[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    port, credentials = large
    sent, go_on = threading.Event(), threading.Event()

    def half() -> Iterator[bytes]:
        yield next(encode({"port": port}, np.zeros(LARGE.size, np.float32)))
        sent.set()
        go_on.wait(30)

    with secure_channel(port, credentials) as channel:
        call = channel.stream_stream(f"/{SERVICE}/Double")(half())
        assert sent.wait(30)
        call.cancel()
    go_on.set()
    with Channel(SERVICE, LOOPBACK, port, credentials, LARGE) as channel:
        vector = np.ones(LARGE.size, np.float32)
        assert channel.call("Double", {"port": port}, vector, deadline=30).update()[-1] == 2
    assert errors == []
    assert caplog.text == ""
