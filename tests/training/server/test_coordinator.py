"""Tests for glasses_spark.training.server.coordinator."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait

import numpy as np
import pytest

from glasses_spark.errors import WorkerError
from glasses_spark.training.schedule import Schedule
from glasses_spark.training.server.asynchronous_rules import (
    EveryUpdate,
    ScaledDeltas,
    SharedBatch,
)
from glasses_spark.training.server.calls import Caller, EpochDecision, EpochEnd, Position, Push
from glasses_spark.training.server.coordinator import Coordinator
from glasses_spark.training.server.fit_control import LONGEST_WAIT_S
from glasses_spark.training.server.protocol import ProtocolError
from glasses_spark.training.server.shared_weights import SharedWeights
from glasses_spark.training.server.state import FitEndedError, NotYetError
from glasses_spark.training.weights import Vector
from tests.training.tiny import tiny_model

STATE = np.zeros(1)
FIRST, FOLLOWING = Position(0, 0), Position(0, 1)


def make_coordinator(
    *,
    mode: str = "synchronous",
    rows: tuple[int, ...] = (4, 4),
    longest_wait: float = LONGEST_WAIT_S,
    clock: Callable[[], float] = time.monotonic,
    rule: EveryUpdate | None = None,
) -> Coordinator:
    weights = SharedWeights(
        tiny_model(), workers=len(rows), uses_gradients=False, rule=rule or ScaledDeltas()
    )
    schedule = Schedule(mode, "batch", 2, 4, rows, (0,) * len(rows))
    return Coordinator(
        schedule, weights, state_size=1, stall_timeout=30, longest_wait=longest_wait, clock=clock
    )


def task(*workers: int, attempt: int = 0) -> Caller:
    return Caller(workers, attempt)


def push(
    coordinator: Coordinator,
    worker: int,
    value: float,
    *,
    step: int = 0,
    rows: int = 4,
    version: int = 0,
    caller: Caller | None = None,
    awaited: Position | None = FOLLOWING,
) -> Vector:
    """Push an update of equal numbers in the first epoch, from a task of one worker by default.

    Returns:
        The awaited weights; an empty vector if none are awaited.
    """
    update = np.full(coordinator.shared_weights.layout.size, value, np.float32)
    call = Push(Position(0, step), rows, update, STATE, version, (), awaited)
    answer = coordinator.push(caller or task(worker), worker, call)
    return np.zeros(0) if answer is None else answer[0]


def pull(coordinator: Coordinator, caller: Caller, position: Position = FIRST) -> int:
    return coordinator.pull(caller, position)[1]


def finish_epoch(coordinator: Coordinator, worker: int) -> EpochDecision:
    end = EpochEnd(0, STATE, seconds=1.0, waiting=0.0)
    return coordinator.finish_epoch(task(worker), worker, end)


def test_synchronous_updates_are_averaged_by_their_rows() -> None:
    coordinator = make_coordinator(rows=(4, 1))
    before = coordinator.shared_weights.vector()
    for worker in range(2):
        coordinator.join(task(worker), "host")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(push, coordinator, 0, 1.0)
        second = push(coordinator, 1, 6.0, rows=1)
        assert np.array_equal(first.result(timeout=10), second)
    assert np.allclose(second, before - 2.0)  # (4 * 1 + 1 * 6) / 5


def sharing_coordinator(mode: str, *, clock: Callable[[], float] = time.monotonic) -> Coordinator:
    """Return a coordinator of two workers whose pushes together are a step."""
    size = SharedWeights(tiny_model(), workers=2, uses_gradients=False).layout.trainable_size
    rule = SharedBatch(size, "float32", batch_size=8, rows=4)
    return make_coordinator(mode=mode, rows=(8, 8), clock=clock, rule=rule)


@pytest.mark.parametrize("mode", ["asynchronous", "hogwild"])
def test_a_part_of_a_step_is_answered_after_the_step(mode: str) -> None:
    now = [0.0]
    coordinator = sharing_coordinator(mode, clock=lambda: now[0])
    before = coordinator.shared_weights.vector()
    for worker in (0, 1):
        coordinator.join(task(worker), "host")
        pull(coordinator, task(worker))
    now[0] = 10.0
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(push, coordinator, 0, 1.0)
        second = push(coordinator, 1, 3.0) if _waits(first) else None
        assert second is not None
        for weights in (first.result(), second):
            assert weights == pytest.approx(before - 2)


@pytest.mark.parametrize("mode", ["asynchronous", "hogwild"])
def test_a_worker_waits_for_a_step_no_longer_than_it_computed(mode: str) -> None:
    coordinator = sharing_coordinator(mode)
    for worker in (0, 1):
        coordinator.join(task(worker), "host")
    pull(coordinator, task(1))
    pull(coordinator, task(0))
    # The other worker never pushes.
    assert push(coordinator, 0, 1.0) == pytest.approx(coordinator.shared_weights.vector())
    assert coordinator.shared_weights.version == 0


def test_a_task_waits_for_a_step_after_its_last_worker_only() -> None:
    now = [0.0]
    coordinator = sharing_coordinator("asynchronous", clock=lambda: now[0])
    caller = task(0, 1)
    coordinator.join(caller, "host")
    pull(coordinator, caller)
    now[0] = 10.0
    before = coordinator.shared_weights.vector()
    assert push(coordinator, 0, 1.0, caller=caller) == pytest.approx(before)
    assert push(coordinator, 1, 3.0, caller=caller) == pytest.approx(before - 2)
    # No other task is left that could complete the next step.
    version = coordinator.shared_weights.version
    pushed = push(
        coordinator, 1, 3.0, step=1, version=version, caller=caller, awaited=Position(0, 2)
    )
    assert pushed == pytest.approx(before - 2)


def _waits(pushed: Future[Vector]) -> bool:
    """Return whether a push waits until the fit changes, for a moment in which it would end."""
    return not wait([pushed], timeout=0.3).done


def test_an_asynchronous_update_is_applied_in_full_at_once() -> None:
    coordinator = make_coordinator(mode="asynchronous")
    before = coordinator.shared_weights.vector()
    coordinator.join(task(0), "host")
    assert np.array_equal(push(coordinator, 0, 1.0), before - 1)


@pytest.mark.parametrize("mode", ["asynchronous", "hogwild"])
def test_a_delta_is_divided_by_one_plus_the_updates_of_others_since_the_pull(mode: str) -> None:
    coordinator = make_coordinator(mode=mode, rows=(4, 4, 4))
    before = coordinator.shared_weights.vector()
    for worker in range(3):
        coordinator.join(task(worker), "host")
        assert pull(coordinator, task(worker)) == 0
    push(coordinator, 0, 1.0)
    push(coordinator, 1, 1.0)  # one other update since its pull
    assert np.allclose(coordinator.shared_weights.vector(), before - 1 - 1 / 2)
    # A worker that pulls later has missed no update.
    version = pull(coordinator, task(2))
    push(coordinator, 2, 1.0, version=version)
    assert np.allclose(coordinator.shared_weights.vector(), before - 1 - 1 / 2 - 1)


def test_the_workers_of_a_task_compute_in_turn_with_the_newest_weights() -> None:
    coordinator = make_coordinator(mode="asynchronous", rows=(4, 4))
    before, both = coordinator.shared_weights.vector(), task(0, 1)
    coordinator.join(both, "host")
    assert pull(coordinator, both) == 0
    push(coordinator, 0, 1.0, caller=both)
    push(coordinator, 1, 1.0, caller=both, version=1)  # with the weights of the push before
    assert np.allclose(coordinator.shared_weights.vector(), before - 2)


def test_the_totals_contain_the_mean_staleness_of_each_worker() -> None:
    coordinator = make_coordinator(mode="asynchronous", rows=(4, 8))
    for worker in range(2):
        coordinator.join(task(worker), "host")
    push(coordinator, 1, 1.0)
    push(coordinator, 0, 1.0)
    finish_epoch(coordinator, 0)
    push(coordinator, 1, 0.0, step=1, version=1)
    finish_epoch(coordinator, 1)
    totals = coordinator.next_epoch(running=lambda: True)
    assert totals is not None
    assert [share.staleness for share in totals.workers] == [1.0, 0.5]


def test_synchronous_workers_of_one_task_do_not_wait_for_each_other() -> None:
    coordinator = make_coordinator(longest_wait=5)
    before, both = coordinator.shared_weights.vector(), task(0, 1)
    coordinator.join(both, "host")
    assert not push(coordinator, 0, 1.0, caller=both, awaited=None).size
    after = push(coordinator, 1, 3.0, caller=both)
    assert np.allclose(after, before - 2)


def test_a_retried_task_catches_up_with_the_worker_that_is_behind() -> None:
    coordinator = make_coordinator(longest_wait=5)
    both, retry = task(0, 1), task(0, 1, attempt=1)
    coordinator.join(both, "host")
    push(coordinator, 0, 1.0, caller=both, awaited=None)
    states, _ = coordinator.join(retry, "host")
    assert [state.position for state in states] == [Position(0, 1), Position(0, 0)]
    pull(coordinator, retry)  # those of the step that the second worker is in
    assert push(coordinator, 1, 3.0, caller=retry).size


def test_a_task_is_finished_with_its_last_worker() -> None:
    now = [0.0]
    coordinator = make_coordinator(mode="asynchronous", clock=lambda: now[0])
    both = task(0, 1)
    coordinator.join(both, "host")
    push(coordinator, 0, 0.0, caller=both)
    push(coordinator, 1, 0.0, caller=both)
    end = EpochEnd(0, STATE, seconds=1.0, waiting=0.0)
    assert not coordinator.finish_epoch(both, 0, end).stop
    coordinator.proceed(EpochDecision(stop=True, learning_rate=None))
    assert coordinator.finish_epoch(both, 1, end).stop
    coordinator.next_epoch(running=lambda: True)
    now[0] = 100.0
    running = iter([True, False])
    assert coordinator.next_epoch(running=lambda: next(running), poll=0.01) is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), -3e38])
def test_an_update_that_is_not_finite_or_would_overflow_ends_the_fit(value: float) -> None:
    coordinator = make_coordinator(mode="asynchronous")
    coordinator.join(task(0), "host")
    with pytest.raises(WorkerError, match="not finite, in epoch 1, step 1: training diverged"):
        push(coordinator, 0, value)
    with pytest.raises(WorkerError, match="training diverged"):
        coordinator.next_epoch(running=lambda: True)
    with pytest.raises(FitEndedError, match="the fit has failed"):
        coordinator.heartbeat(task(0))


@pytest.mark.parametrize("mode", ["synchronous", "asynchronous", "hogwild"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 3e38])
def test_metrics_that_are_not_finite_or_would_overflow_end_the_fit(mode: str, value: float) -> None:
    coordinator = make_coordinator(mode=mode)
    coordinator.join(task(0), "host")
    bad = Push(FIRST, 4, np.zeros_like(coordinator.shared_weights.vector()), STATE + value, 0)
    with pytest.raises(WorkerError, match=r"worker 0 sent metrics .* in epoch 1, step 1\."):
        coordinator.push(task(0), 0, bad)
    with pytest.raises(WorkerError, match="worker 0 sent metrics"):
        coordinator.next_epoch(running=lambda: True)
    assert coordinator.shared_weights.version == 0


def test_validation_metrics_that_are_not_finite_end_the_fit() -> None:
    coordinator = make_coordinator(mode="asynchronous")
    coordinator.join(task(0), "host")
    push(coordinator, 0, 0.0)
    end = EpochEnd(0, STATE + float("nan"), seconds=1.0, waiting=0.0)
    with pytest.raises(WorkerError, match="worker 0 sent metrics"):
        coordinator.finish_epoch(task(0), 0, end)
    with pytest.raises(WorkerError, match="worker 0 sent metrics"):
        coordinator.next_epoch(running=lambda: True)


def test_metrics_of_an_update_that_diverged_are_not_the_cause() -> None:
    coordinator = make_coordinator()
    coordinator.join(task(0), "host")
    update = np.full_like(coordinator.shared_weights.vector(), np.nan)
    with pytest.raises(WorkerError, match="training diverged"):
        coordinator.push(task(0), 0, Push(FIRST, 4, update, STATE + np.nan, 0))


def test_the_state_of_an_optimizer_after_epochs_that_never_come_is_refused() -> None:
    coordinator = make_coordinator()
    coordinator.join(task(0), "host")
    vector = coordinator.shared_weights.vector()
    with pytest.raises(ProtocolError, match="epochs: expected at most 2, got 3"):
        coordinator.receive_optimizer_state(task(0), 0, 3, 0, vector)


def test_a_lost_worker_ends_the_fit() -> None:
    now = [0.0]
    coordinator = make_coordinator(clock=lambda: now[0])
    coordinator.join(task(0), "alpha")
    coordinator.join(task(1), "beta")
    now[0] = 29.0
    coordinator.heartbeat(task(0))
    now[0] = 31.0
    with pytest.raises(WorkerError, match="worker 1 on beta has not responded for 31 s"):
        coordinator.next_epoch(running=lambda: True, poll=0.01)


def test_no_epoch_is_left_after_the_job_has_ended() -> None:
    coordinator = make_coordinator(mode="asynchronous")
    coordinator.join(task(0), "alpha")
    running = iter([True, False])
    assert coordinator.next_epoch(running=lambda: next(running), poll=0.01) is None


def test_a_call_does_not_wait_longer_than_allowed() -> None:
    coordinator = make_coordinator(longest_wait=0.05)
    coordinator.join(task(0), "host")
    coordinator.join(task(1), "host")
    with pytest.raises(NotYetError):
        push(coordinator, 0, 1.0)


def test_a_retried_synchronous_worker_continues_after_its_last_push() -> None:
    coordinator = make_coordinator(longest_wait=0.05)
    for worker in range(2):
        coordinator.join(task(worker), "host")
    with pytest.raises(NotYetError):
        push(coordinator, 0, 1.0)
    (state,), _ = coordinator.join(task(0, attempt=5), "host")
    assert state.position == Position(0, 1)
    with pytest.raises(FitEndedError, match="attempt 0 is not the current attempt"):
        push(coordinator, 0, 1.0)
    before = coordinator.shared_weights.vector()
    push(coordinator, 1, 3.0)
    assert np.allclose(coordinator.pull(task(0, attempt=5), Position(0, 1))[0], before - 2.0)


def test_a_newer_attempt_releases_the_waiting_attempt() -> None:
    coordinator = make_coordinator()
    coordinator.join(task(0), "host")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(push, coordinator, 0, 1.0)
        coordinator.join(task(0, attempt=5), "host")
        with pytest.raises(FitEndedError, match="attempt 0 is not the current attempt"):
            waiting.result(timeout=10)


def test_synchronous_workers_wait_for_the_decision_of_the_driver() -> None:
    coordinator = make_coordinator()
    for worker in range(2):
        coordinator.join(task(worker), "host")

    def train_epoch(worker: int) -> EpochDecision:
        push(coordinator, worker, 0.0)
        return finish_epoch(coordinator, worker)

    with ThreadPoolExecutor(2) as pool:
        decisions = [pool.submit(train_epoch, worker) for worker in range(2)]
        totals = coordinator.next_epoch(running=lambda: True)
        assert totals is not None
        assert totals.rows == 8
        assert not any(decision.done() for decision in decisions)
        coordinator.proceed(EpochDecision(stop=True, learning_rate=None))
        assert all(decision.result(timeout=10).stop for decision in decisions)


def test_a_lost_worker_ends_the_fit_also_after_the_decision_to_stop() -> None:
    now = [0.0]
    coordinator = make_coordinator(mode="asynchronous", clock=lambda: now[0])
    for worker in range(2):
        coordinator.join(task(worker), "host")
    coordinator.proceed(EpochDecision(stop=True, learning_rate=None))
    push(coordinator, 0, 0.0)
    assert finish_epoch(coordinator, 0).stop
    now[0] = 100.0
    with pytest.raises(WorkerError, match="worker 1 on host has not responded"):
        coordinator.next_epoch(running=lambda: True, poll=0.01)


def test_restarted_workers_are_not_lost_before_they_join_again() -> None:
    now = [0.0]
    coordinator = make_coordinator(mode="asynchronous", clock=lambda: now[0])
    coordinator.join(task(0), "host")
    now[0] = 100.0
    coordinator.reset_heartbeats()
    running = iter([True, False])
    assert coordinator.next_epoch(running=lambda: next(running), poll=0.01) is None
    assert coordinator.has_been_joined()


def test_replaced_weights_are_pulled_next_and_written_to_the_model() -> None:
    coordinator = make_coordinator(mode="asynchronous")
    weights = np.ones(coordinator.shared_weights.layout.size, np.float32)
    coordinator.replace_weights(weights)
    coordinator.join(task(0), "host")
    assert np.array_equal(coordinator.pull(task(0), Position(0, 0))[0], weights)
    coordinator.write_to_model()
    assert np.array_equal(coordinator.written_weights, weights)
    model_weights = coordinator.shared_weights.model.get_weights()
    assert all((array == 1).all() for array in model_weights)


@pytest.mark.parametrize("worker", [0, 1])
def test_the_synchronous_worker_whose_update_is_not_finite_is_named(worker: int) -> None:
    coordinator = make_coordinator(longest_wait=0.05)
    for number in range(2):
        coordinator.join(task(number), "host")
    before = coordinator.shared_weights.vector()
    with pytest.raises(NotYetError):
        push(coordinator, 0, float("inf") if worker == 0 else 1.0)
    with pytest.raises(WorkerError, match=f"worker {worker} sent an update .* diverged"):
        push(coordinator, 1, float("inf") if worker == 1 else 1.0)
    assert np.array_equal(coordinator.shared_weights.vector(), before)
