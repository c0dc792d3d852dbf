"""Tests for glasses_spark.training.server.parameter_server: the real server, and strangers at its door."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest

from glasses_spark.errors import SetupError, WorkerError
from glasses_spark.training.schedule import Schedule
from glasses_spark.training.server.certificates import SERVER_NAME, Credentials, make_credentials
from glasses_spark.training.server.coordinator import Coordinator
from glasses_spark.training.server.parameter_client import ParameterClient, ServerAddress
from glasses_spark.training.server.parameter_server import SERVICE, ParameterServer
from glasses_spark.training.server.protocol import CallEndedError, ProtocolError, encode
from glasses_spark.training.server.shared_weights import Master
from tests.training.tiny import tiny_model

STATE = np.zeros(4)


class Fit:
    """One coordinator with its server, and the credentials of its workers."""

    def __init__(self, *, mode: str = "asynchronous", workers: int = 2) -> None:
        self.master = Master(tiny_model(), workers=workers, uses_gradients=False)
        schedule = Schedule(mode, "batch", 2, 4, (8,) * workers, (0,) * workers)
        self.coordinator = Coordinator(
            schedule, self.master, state_size=len(STATE), stall_timeout=60
        )
        server_end, self.credentials = make_credentials()
        self.server = ParameterServer(self.coordinator, server_end)

    def client(
        self, worker: int = 0, *, attempt: int = 0, heartbeat: float = 5.0
    ) -> ParameterClient:
        address = ServerAddress("127.0.0.1", self.server.port, self.credentials, 10.0, heartbeat)
        return ParameterClient(
            address,
            self.master.layout,
            worker=worker,
            attempt=attempt,
            host="here",
        )

    def ones(self) -> Any:
        return np.ones(self.master.layout.size, np.float32)


@pytest.fixture
def fit() -> Iterator[Fit]:
    made = Fit()
    with made.server:
        yield made


def raw_call(fit: Fit, credentials: Credentials | None, request: bytes, method: str) -> bytes:
    target = f"127.0.0.1:{fit.server.port}"
    options = [("grpc.ssl_target_name_override", SERVER_NAME)]
    if credentials is None:
        channel = grpc.insecure_channel(target)
    else:
        secure = grpc.ssl_channel_credentials(
            credentials.trusted, credentials.own.key, credentials.own.certificate
        )
        channel = grpc.secure_channel(target, secure, options=options)
    with channel:
        answer: bytes = channel.unary_unary(f"/{SERVICE}/{method}")(request, timeout=10)
        return answer


def test_a_push_changes_the_weights_and_answers_with_them(fit: Fit) -> None:
    before = fit.master.vector()
    with fit.client() as client:
        client.join()
        after = client.push(0, 0, rows=4, update=fit.ones(), metric_state=STATE)
    assert np.array_equal(after, before - 1)
    assert np.array_equal(fit.master.vector(), after)


def test_a_push_that_comes_again_is_answered_and_not_applied_again(fit: Fit) -> None:
    with fit.client() as client:
        client.join()
        first = client.push(0, 0, rows=4, update=fit.ones(), metric_state=STATE)
        again = client.push(0, 0, rows=4, update=fit.ones(), metric_state=STATE)
    assert np.array_equal(first, again)
    assert fit.master.version == 1


def test_a_retried_task_takes_over_where_its_predecessor_stopped(fit: Fit) -> None:
    with fit.client(attempt=3) as old, fit.client(attempt=7) as new:
        old.join()
        old.push(0, 0, rows=4, update=fit.ones(), metric_state=STATE)
        answer = new.join()
        assert (answer.whole("epoch"), answer.whole("step")) == (0, 1)
        with pytest.raises(CallEndedError, match="attempt 3 is not the one that counts"):
            old.push(0, 1, rows=4, update=fit.ones(), metric_state=STATE)
        with pytest.raises(CallEndedError, match="attempt 7 has taken over"):
            old.join()
    assert fit.master.version == 1


@pytest.mark.parametrize(
    ("step", "rows", "reason"),
    [(1, 4, "expected epoch 0 step 0"), (0, 5, "expected 4 rows in step 0, got 5")],
)
def test_a_push_out_of_turn_is_refused(fit: Fit, step: int, rows: int, reason: str) -> None:
    with fit.client() as client:
        client.join()
        with pytest.raises(WorkerError, match=reason):
            client.push(0, step, rows=rows, update=fit.ones(), metric_state=STATE)
    assert fit.master.version == 0


def test_an_epoch_cannot_end_before_its_last_step(fit: Fit) -> None:
    with fit.client() as client:
        client.join()
        with pytest.raises(WorkerError, match="epoch 0 has 2 steps, and ended after 0"):
            client.finish_epoch(0, validation_state=STATE, seconds=0.0, waiting=0.0)


def test_an_unknown_worker_is_refused(fit: Fit) -> None:
    with fit.client(worker=2) as client, pytest.raises(WorkerError, match="below 2, got 2"):
        client.join()


def test_a_stranger_without_a_certificate_gets_no_connection(fit: Fit) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        raw_call(fit, None, encode({"worker": 0, "attempt": 0, "host": "x"}), "Join")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_stranger_with_a_certificate_of_another_fit_gets_no_connection(fit: Fit) -> None:
    _, other = make_credentials()
    stranger = Credentials(other.own, fit.credentials.trusted)
    with pytest.raises(grpc.RpcError) as caught:
        raw_call(fit, stranger, encode({"worker": 0, "attempt": 0, "host": "x"}), "Join")
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_worker_does_not_speak_to_a_server_of_another_fit(fit: Fit) -> None:
    with Fit().server as other:
        address = ServerAddress("127.0.0.1", other.port, fit.credentials, 10.0, 5.0)
        channel = grpc.secure_channel(
            f"{address.host}:{address.port}",
            grpc.ssl_channel_credentials(
                fit.credentials.trusted, fit.credentials.own.key, fit.credentials.own.certificate
            ),
            options=[("grpc.ssl_target_name_override", SERVER_NAME)],
        )
        with channel, pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(f"/{SERVICE}/Join")(b"", timeout=10)
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize(
    "request_bytes",
    [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x80\x04cos\nsystem\n(S'true'\ntR.", b"\xff" * 100],
)
def test_bytes_that_are_no_message_change_nothing_and_are_logged(
    fit: Fit, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with pytest.raises(grpc.RpcError) as caught:
        raw_call(fit, fit.credentials, request_bytes, "Push")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "refused a Push from" in caplog.text
    assert fit.master.version == 0


def test_a_message_longer_than_any_of_the_protocol_is_refused(fit: Fit) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        raw_call(fit, fit.credentials, b"\0" * (8 << 20), "Push")
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert fit.master.version == 0


def test_garbage_on_the_bare_socket_leaves_the_server_at_work(fit: Fit) -> None:
    with socket.create_connection(("127.0.0.1", fit.server.port), timeout=5) as connection:
        connection.sendall(b"\x16\x03\x01" + b"\xff" * 2000)
    with fit.client() as client:
        assert client.join().whole("epoch") == 0


def test_a_worker_that_waits_is_sent_home_when_the_server_stops() -> None:
    fit = Fit(mode="synchronous")
    with ThreadPoolExecutor(1) as pool, fit.server, fit.client() as client:
        client.join()
        waiting = pool.submit(client.push, 0, 0, rows=4, update=fit.ones(), metric_state=STATE)
        while not fit.coordinator._pending:
            assert not waiting.done()
        fit.coordinator.fail(WorkerError("another worker failed"))
        with pytest.raises(CallEndedError, match="the fit has failed"):
            waiting.result(timeout=10)


def test_nothing_listens_after_the_server_has_stopped() -> None:
    fit = Fit()
    with fit.server:
        pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", fit.server.port), timeout=5)


def test_a_taken_port_is_named(fit: Fit) -> None:
    server_end, _ = make_credentials()
    taken = ParameterServer(fit.coordinator, server_end, port=fit.server.port)
    with pytest.raises(SetupError, match=f"cannot listen on 127.0.0.1:{fit.server.port}"), taken:
        pass


def test_two_fits_at_once_do_not_see_each_other() -> None:
    one, two = Fit(), Fit()
    with one.server, two.server, one.client() as a, two.client() as b:
        a.join()
        b.join()
        a.push(0, 0, rows=4, update=one.ones(), metric_state=STATE)
    assert (one.master.version, two.master.version) == (1, 0)


def test_a_key_is_not_shown_by_repr() -> None:
    server_end, _ = make_credentials()
    assert "PRIVATE" not in repr(server_end)


def test_a_proxy_for_the_web_does_not_come_between(
    fit: Fit, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "grpc_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with fit.client() as client:
        assert client.join().whole("epoch") == 0


def test_signs_of_life_go_on_after_one_was_lost(fit: Fit) -> None:
    heard = threading.Event()
    lost = iter([True])

    def heartbeat(worker: int, attempt: int) -> None:
        if next(lost, False):
            raise ProtocolError("lost on the way")
        heard.set()

    fit.coordinator.heartbeat = heartbeat  # type: ignore[method-assign]
    with fit.client(heartbeat=0.05) as client:
        client.join()
        assert heard.wait(timeout=10)
