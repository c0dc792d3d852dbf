"""Tests for glasses_spark.training.server.parameter_client."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from glasses_spark.errors import WorkerError
from glasses_spark.training.server.calls import Caller, Position
from glasses_spark.training.server.protocol import ProtocolError
from tests.training.server.served_fit import ServedFit


def test_heartbeats_continue_after_a_lost_one(
    fit: ServedFit, monkeypatch: pytest.MonkeyPatch
) -> None:
    received = threading.Event()
    lost = iter([True])

    def heartbeat(caller: Caller) -> None:
        if next(lost, False):
            raise ProtocolError("lost heartbeat")
        received.set()

    monkeypatch.setattr(fit.coordinator, "heartbeat", heartbeat)
    with fit.client(heartbeat=0.05) as client:
        client.join()
        assert received.wait(timeout=10)


def test_a_client_repeats_calls_that_wait_too_long_in_the_server() -> None:
    fit = ServedFit(mode="synchronous", longest_wait=0.05)
    before = fit.weights.vector()
    with (
        fit.server,
        fit.client(0) as first,
        fit.client(1) as second,
        ThreadPoolExecutor(1) as pool,
    ):
        first.join()
        second.join()
        waiting = pool.submit(first.push, 0, fit.push())
        threading.Event().wait(0.2)  # longer than the server lets a call wait
        second.push(1, fit.push(value=3))
        weights = waiting.result(timeout=10)
    assert weights is not None
    assert np.allclose(weights, before - 2)
    assert fit.weights.version == 1


def test_a_server_that_has_stopped_is_named() -> None:
    fit = ServedFit()
    with fit.server as server, fit.client() as client:
        client.join()
        server.__exit__()
        with pytest.raises(WorkerError, match=r"lost the connection to the parameter server at "):
            client.pull(Position(0, 0))
