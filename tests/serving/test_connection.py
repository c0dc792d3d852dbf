"""Tests of the limits of connections: clients that send too much, too slowly or nothing."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.faces import noise_png
from tests.serving.service import Service, running, write_model

pytestmark = pytest.mark.slow

HEAD = b"POST /predict HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    model = tmp_path_factory.mktemp("model") / "model.onnx"
    write_model(model)
    with running(model, "--max-bytes", "200000", "--timeout", "1") as running_service:
        yield running_service


def connect(service: Service) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), timeout=20)


def received(connection: socket.socket) -> bytes:
    """Return what arrives until the service ends the connection."""
    parts = []
    with suppress(ConnectionResetError):
        while part := connection.recv(1 << 20):
            parts.append(part)
    return b"".join(parts)


def send_on(connection: socket.socket, content: bytes, *, times: int, pause: float = 0) -> None:
    """Send the same again and again, whether it is taken or not."""
    connection.settimeout(0.2)
    for _ in range(times):
        with suppress(TimeoutError):
            connection.sendall(content)
        time.sleep(pause)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(HEAD, id="half a head"),
        pytest.param(
            b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\nGET", id="half a second head"
        ),
        pytest.param(HEAD + b"Content-Length: 9\r\n\r\na", id="half a body"),
    ],
)
def test_a_connection_without_a_complete_request_ends(service: Service, sent: bytes) -> None:
    with connect(service) as connection:
        connection.sendall(sent)
        received(connection)


def test_a_body_that_goes_on_after_its_answer_ends(service: Service) -> None:
    with connect(service) as connection:
        connection.sendall(HEAD + b"Content-Type: text/plain\r\nContent-Length: 9999\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 415 ")
        with pytest.raises(OSError, match=r"reset|pipe"):
            send_on(connection, b"a", times=100, pause=0.2)


@pytest.mark.parametrize(
    ("head", "repeated"),
    [
        pytest.param(b"GET /", b"a" * 1000, id="URL"),
        pytest.param(HEAD, b"a: b\r\n" * 200, id="headers"),
        pytest.param(HEAD + b"a: ", b"a" * 1000, id="one header"),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n" * 200, id="trailers"
        ),
    ],
)
def test_headers_without_end_are_refused(service: Service, head: bytes, repeated: bytes) -> None:
    with connect(service) as connection:
        connection.sendall(head)
        with pytest.raises(OSError, match=r"reset|pipe"):
            send_on(connection, repeated, times=5000)
    assert service.ask("GET", "/healthz").status == 200


def test_few_requests_may_wait_for_the_answer_to_one_before_them(service: Service) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connect(service) as connection:
        connection.sendall(request * 20)
        assert received(connection).count(b"HTTP/1.1 200 ") == 20
    with connect(service) as connection, pytest.raises(OSError, match=r"reset|pipe"):
        send_on(connection, request * 100, times=10_000)
    assert service.ask("GET", "/healthz").status == 200


def test_a_client_that_reads_no_answer_is_left(service: Service) -> None:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", service.port))
    request = b"GET /page.js HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connection, pytest.raises(OSError, match=r"reset|pipe"):
        send_on(connection, request * 5, times=1000, pause=0.02)
    assert service.ask("GET", "/healthz").status == 200


def test_bodies_that_are_only_announced_take_no_memory(service: Service) -> None:
    connections = [connect(service) for _ in range(8)]
    for connection in connections:
        connection.sendall(HEAD + b"Content-Length: 200000\r\n\r\na")
    assert service.ask("POST", "/predict", noise_png()).status == 200
    for connection in connections:
        connection.close()


def test_bodies_that_have_arrived_take_memory_until_they_are_answered(service: Service) -> None:
    connections = [connect(service) for _ in range(9)]
    for connection in connections:
        connection.sendall(HEAD + b"Content-Length: 200000\r\n\r\n" + b"a" * 199_999)
    assert any(b" 503 " in received(connection) for connection in connections)
    for connection in connections:
        connection.close()
    assert service.ask("POST", "/predict", noise_png()).status == 200
