"""Tests for glasses_spark.training.server.coordinator."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from glasses_spark.errors import WorkerError
from glasses_spark.training.schedule import Schedule
from glasses_spark.training.server.coordinator import Coordinator
from glasses_spark.training.server.shared_weights import Master
from glasses_spark.training.server.state import NotYetError, Position, Verdict
from glasses_spark.training.weights import Vector
from tests.training.tiny import tiny_model

STATE = np.zeros(1)


def coordinator(
    *, mode: str = "synchronous", rows: tuple[int, ...] = (4, 4), clock: object = None
) -> Coordinator:
    master = Master(tiny_model(), workers=len(rows), uses_gradients=False, staleness_aware=True)
    schedule = Schedule(mode, "batch", 2, 4, rows, (0,) * len(rows))
    options = {"clock": clock} if clock else {}
    return Coordinator(schedule, master, state_size=1, stall_timeout=30, **options)  # type: ignore[arg-type]


def push(made: Coordinator, worker: int, value: float, *, rows: int = 4) -> Vector:
    update = np.full(made.master.layout.size, value, np.float32)
    return made.push(worker, 0, Position(0, 0), rows, update, STATE)


def test_synchronous_updates_are_averaged_by_their_rows() -> None:
    made = coordinator(rows=(4, 1))
    before = made.master.vector()
    for worker in range(2):
        made.join(worker, 0, "here")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(push, made, 0, 1.0)
        second = push(made, 1, 6.0, rows=1)
        assert np.array_equal(first.result(timeout=10), second)
    assert np.allclose(second, before - 2.0)  # (4 * 1 + 1 * 6) / 5


def test_an_asynchronous_update_is_applied_in_full_when_it_comes() -> None:
    made = coordinator(mode="asynchronous")
    before = made.master.vector()
    made.join(0, 0, "here")
    assert np.array_equal(push(made, 0, 1.0), before - 1)


@pytest.mark.parametrize("mode", ["asynchronous", "hogwild"])
def test_a_delta_counts_less_the_more_others_have_moved_meanwhile(mode: str) -> None:
    made = coordinator(mode=mode, rows=(4, 4, 4))
    before = made.master.vector()
    for worker in range(3):
        made.join(worker, 0, "here")
        made.pull(worker, 0, 0, 0)
    push(made, 0, 1.0)
    push(made, 1, 1.0)  # one other since it pulled
    assert np.allclose(made.master.vector(), before - 1 - 1 / 2)
    # A worker that begins only now, as in a later wave, has missed nothing.
    made.pull(2, 0, 0, 0)
    push(made, 2, 1.0)
    assert np.allclose(made.master.vector(), before - 1 - 1 / 2 - 1)


def test_staleness_counts_the_updates_of_others_in_between() -> None:
    made = coordinator(mode="asynchronous", rows=(4, 8))
    for worker in range(2):
        made.join(worker, 0, "here")
        made.pull(worker, 0, 0, 0)
    push(made, 1, 1.0)
    push(made, 0, 1.0)
    made.finish_epoch(0, 0, 0, STATE, seconds=1.0, waiting=0.0)
    update = np.zeros(made.master.layout.size, np.float32)
    made.push(1, 0, Position(0, 1), 4, update, STATE)
    made.finish_epoch(1, 0, 0, STATE, seconds=1.0, waiting=0.0)
    totals = made.next_epoch(running=lambda: True)
    assert totals is not None
    assert [share.staleness for share in totals.workers] == [1.0, 0.5]


def test_a_silent_worker_is_named_with_its_place() -> None:
    now = [0.0]
    made = coordinator(clock=lambda: now[0])
    made.join(0, 0, "alpha")
    made.join(1, 0, "beta")
    now[0] = 29.0
    made.heartbeat(0, 0)
    now[0] = 31.0
    with pytest.raises(
        WorkerError, match=r"worker 1 on beta has been silent for 31 s, in epoch 1, step 1; .* 30 s"
    ):
        made.next_epoch(running=lambda: True, poll=0.01)


def test_a_worker_that_has_not_come_yet_is_not_silent() -> None:
    now = [0.0]
    made = coordinator(mode="asynchronous", clock=lambda: now[0])
    made.join(0, 0, "alpha")
    now[0] = 1000.0
    made.heartbeat(0, 0)
    answers = iter([True, False])
    assert made.next_epoch(running=lambda: next(answers), poll=0.01) is None


def test_waiting_inside_the_server_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("glasses_spark.training.server.coordinator.LONGEST_WAIT_S", 0.05)
    made = coordinator()
    made.join(0, 0, "here")
    made.join(1, 0, "here")
    with pytest.raises(NotYetError):
        push(made, 0, 1.0)


def test_a_retried_synchronous_worker_finds_its_push_already_in() -> None:
    made = coordinator()
    for worker in range(2):
        made.join(worker, 0, "here")
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(push, made, 0, 1.0)
        while not made._pending:
            assert not lost.done()
        position, _ = made.join(0, 5, "here")
        assert position == Position(0, 1)
        with pytest.raises(Exception, match="attempt 0 is not the one that counts"):
            lost.result(timeout=10)
    before = made.master.vector()
    push(made, 1, 3.0)
    assert np.allclose(made.pull(0, 5, 0, 1), before - 2.0)


def test_the_verdict_of_the_driver_reaches_all_workers() -> None:
    made = coordinator()
    for worker in range(2):
        made.join(worker, 0, "here")

    def epoch(worker: int) -> Verdict:
        push(made, worker, 0.0)
        return made.finish_epoch(worker, 0, 0, STATE, seconds=1.0, waiting=0.5)

    with ThreadPoolExecutor(2) as pool:
        verdicts = [pool.submit(epoch, worker) for worker in range(2)]
        totals = made.next_epoch(running=lambda: True)
        assert totals is not None
        assert totals.rows == 8
        assert not any(verdict.done() for verdict in verdicts)
        made.proceed(Verdict(stop=True, learning_rate=None))
        assert all(verdict.result(timeout=10).stop for verdict in verdicts)


def test_a_worker_that_falls_silent_after_a_stop_is_still_named() -> None:
    now = [0.0]
    made = coordinator(mode="asynchronous", clock=lambda: now[0])
    for worker in range(2):
        made.join(worker, 0, "here")
    made.proceed(Verdict(stop=True, learning_rate=None))
    push(made, 0, 0.0)
    assert made.finish_epoch(0, 0, 0, STATE, seconds=1.0, waiting=0.0).stop
    now[0] = 100.0
    with pytest.raises(WorkerError, match="worker 1 on here has been silent"):
        made.next_epoch(running=lambda: True, poll=0.01)
