"""Tests for glasses_spark.training.server.parameter_server."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from glasses_spark.errors import SetupError, WorkerError
from glasses_spark.runtime.machine import LOOPBACK
from glasses_spark.training.server.calls import EpochEnd
from glasses_spark.training.server.certificates import make_credentials
from glasses_spark.training.server.parameter_server import ParameterServer
from glasses_spark.training.server.protocol import CallEndedError
from tests.training.server.served_fit import STATE, ServedFit


def test_a_push_changes_the_weights_and_returns_them(fit: ServedFit) -> None:
    before = fit.weights.vector()
    with fit.client() as client:
        client.join()
        after = client.push(0, fit.push())
    assert after is not None
    assert np.array_equal(after, before - 1)
    assert np.array_equal(fit.weights.vector(), after)


def test_a_repeated_push_is_answered_and_not_applied_again(fit: ServedFit) -> None:
    with fit.client() as client:
        client.join()
        first = client.push(0, fit.push())
        repeated = client.push(0, fit.push())
    assert first is not None
    assert repeated is not None
    assert np.array_equal(first, repeated)
    assert fit.weights.version == 1


def test_a_retried_task_continues_where_the_first_attempt_stopped(fit: ServedFit) -> None:
    with fit.client(attempt=3) as old, fit.client(attempt=7) as new:
        old.join()
        old.push(0, fit.push())
        start = new.join()
        assert start.header["workers"] == [{"epoch": 0, "step": 1, "random": []}]
        with pytest.raises(CallEndedError, match="attempt 3 is not the current attempt"):
            old.push(0, fit.push(1))
        with pytest.raises(CallEndedError, match="attempt 3 was replaced by attempt 7"):
            old.join()
    assert fit.weights.version == 1


@pytest.mark.parametrize(
    ("step", "rows", "reason"),
    [(1, 4, "expected epoch 0 step 0"), (0, 5, "expected 4 rows in step 0, got 5")],
)
def test_a_push_other_than_the_next_one_is_refused(
    fit: ServedFit, step: int, rows: int, reason: str
) -> None:
    with fit.client() as client:
        client.join()
        with pytest.raises(WorkerError, match=reason):
            client.push(0, fit.push(step, rows=rows))
    assert fit.weights.version == 0


def test_an_epoch_cannot_end_before_its_last_step(fit: ServedFit) -> None:
    with fit.client() as client:
        client.join()
        with pytest.raises(WorkerError, match="epoch 0 ended after 0 of 2 steps"):
            client.finish_epoch(0, EpochEnd(0, STATE, seconds=0.0, waiting=0.0))


def test_a_push_for_a_worker_of_another_task_is_refused(fit: ServedFit) -> None:
    with fit.client(0) as client:
        client.join()
        with pytest.raises(WorkerError, match="worker: expected one of 0, got 1"):
            client.push(1, fit.push())


def test_a_push_of_weights_that_never_were_is_refused(fit: ServedFit) -> None:
    with fit.client() as client:
        client.join()
        with pytest.raises(WorkerError, match="version: expected at most 0, got 1"):
            client.push(0, fit.push(version=1))
    assert fit.weights.version == 0


def test_a_task_pushes_for_each_of_its_workers_and_awaits_weights_once() -> None:
    fit = ServedFit(mode="synchronous")
    before = fit.weights.vector()
    with fit.server, fit.client(0, 1) as client:
        client.join()
        assert client.push(0, replace(fit.push(), awaited=None)) is None
        assert np.array_equal(fit.weights.vector(), before)
        after = client.push(1, fit.push(value=3))
    assert after is not None
    assert np.allclose(after, before - 2)


def test_a_retried_task_gets_the_random_states_of_its_workers(fit: ServedFit) -> None:
    with fit.client(0, 1) as client:
        client.join()
        client.push(0, replace(fit.push(), random_states=[(7, 12)]))
        client.push(1, replace(fit.push(), random_states=[(8, 3)]))
        client.push(1, replace(fit.push(1), random_states=[(8, 4)]))
        with fit.client(0, 1, attempt=1) as retry:
            states = retry.join().header["workers"]
    assert states == [
        {"epoch": 0, "step": 1, "random": [[7, 12]]},
        {"epoch": 0, "step": 2, "random": [[8, 4]]},
    ]


def test_a_call_for_no_worker_is_refused(fit: ServedFit) -> None:
    with fit.client() as client:
        client._identity = {"workers": [], "attempt": 0}
        with pytest.raises(WorkerError, match="workers: expected the number of a worker"):
            client.join()


def test_an_unknown_worker_is_refused(fit: ServedFit) -> None:
    with fit.client(2) as client, pytest.raises(WorkerError, match="below 2, got 2"):
        client.join()


def test_the_error_of_a_worker_ends_the_fit(fit: ServedFit) -> None:
    with fit.client() as client:
        client.join()
        client.fail("ValueError: bad row", "Traceback ...")
    with pytest.raises(WorkerError, match="worker 0 on host: ValueError: bad row") as caught:
        fit.coordinator.next_epoch(running=lambda: True)
    assert caught.value.__notes__ == ["The worker's own traceback:\nTraceback ..."]
    assert str(caught.value.__cause__) == "ValueError: bad row"


def test_a_waiting_worker_is_released_when_the_fit_fails() -> None:
    fit = ServedFit(mode="synchronous")
    with ThreadPoolExecutor(1) as pool, fit.server, fit.client() as client:
        client.join()
        waiting = pool.submit(client.push, 0, fit.push())
        fit.coordinator.fail(WorkerError("another worker failed"))
        with pytest.raises(CallEndedError, match="the fit has failed"):
            waiting.result(timeout=10)


def test_nothing_listens_after_the_end_of_the_block() -> None:
    fit = ServedFit()
    with fit.server:
        pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, fit.server.port), timeout=5)


def test_a_port_in_use_is_named(fit: ServedFit) -> None:
    credentials, _ = make_credentials()
    second = ParameterServer(fit.coordinator, credentials, port=fit.server.port)
    with pytest.raises(SetupError, match=f"cannot listen on 127.0.0.1:{fit.server.port}"), second:
        pass


def test_two_fits_at_the_same_time_are_independent() -> None:
    first, second = ServedFit(), ServedFit()
    with first.server, second.server, first.client() as a, second.client() as b:
        a.join()
        b.join()
        a.push(0, first.push())
    assert (first.weights.version, second.weights.version) == (1, 0)


def test_a_part_that_the_state_of_the_optimizer_does_not_have_is_refused(fit: ServedFit) -> None:
    with fit.client() as client:
        client.join()
        # The iterations, and two moments for each weight.
        client.send_optimizer_state(0, 1, [fit.push().update] * 3)
        with pytest.raises(WorkerError, match="part: expected a number below 3, got 3"):
            client.send_optimizer_state(0, 1, [fit.push().update] * 4)


def test_a_restarted_worker_gets_the_state_of_its_optimizer_back(fit: ServedFit) -> None:
    with fit.client() as client:
        client.join()
        assert client.optimizer_state(0) == []
        parts = [np.full_like(fit.push().update, value) for value in range(3)]
        client.send_optimizer_state(0, 1, parts)
        assert client.optimizer_state(0) == []  # the push of the epoch has not arrived
        client.push(0, fit.push())
        assert all(map(np.array_equal, client.optimizer_state(0), parts))
