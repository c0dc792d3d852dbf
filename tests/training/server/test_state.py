"""Tests for glasses_spark.training.server.state."""

from __future__ import annotations

import pytest

from glasses_spark.training.schedule import Schedule
from glasses_spark.training.server.calls import Caller, Position
from glasses_spark.training.server.protocol import ProtocolError
from glasses_spark.training.server.state import FitEndedError, WorkerState, WorkerStates
from tests.training.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def states(clock: Clock) -> WorkerStates:
    """Two workers: one with 6 rows in batches of 4, one without rows."""
    schedule = Schedule("asynchronous", "batch", 2, 4, (6, 0), (0, 0))
    return WorkerStates(schedule, stall_timeout=30, clock=clock)


def join(states: WorkerStates, worker: int, attempt: int, host: str) -> WorkerState:
    (state,) = states.join(Caller((worker,), attempt), host)
    return state


def test_positions_are_ordered_by_epoch_and_step() -> None:
    assert Position(0, 9) < Position(1, 0) < Position(1, 1)


def test_a_newer_attempt_replaces_an_older_one(states: WorkerStates) -> None:
    join(states, 0, 3, "old")
    assert join(states, 0, 7, "new").host == "new"
    with pytest.raises(FitEndedError, match="attempt 3 is not the current attempt"):
        states.heard_from(Caller((0,), 3))
    with pytest.raises(FitEndedError, match="attempt 3 was replaced by attempt 7"):
        join(states, 0, 3, "old")


def test_an_unknown_worker_is_refused(states: WorkerStates) -> None:
    with pytest.raises(ProtocolError, match="expected a number below 2, got 2"):
        join(states, 2, 0, "host")


@pytest.mark.parametrize(
    ("position", "rows", "message"),
    [
        (Position(0, 1), 4, "expected epoch 0 step 0, got epoch 0 step 1"),
        (Position(1, 0), 4, "expected epoch 0 step 0, got epoch 1 step 0"),
        (Position(0, 0), 2, "expected 4 rows in step 0, got 2"),
    ],
)
def test_a_push_other_than_the_next_one_is_refused(
    states: WorkerStates, position: Position, rows: int, message: str
) -> None:
    states.require_due_push(0, Position(0, 0), 4)
    with pytest.raises(ProtocolError, match=message):
        states.require_due_push(0, position, rows)


def test_a_worker_without_rows_has_no_push(states: WorkerStates) -> None:
    with pytest.raises(ProtocolError, match="expected 0 rows in step 0, got 4"):
        states.require_due_push(1, Position(0, 0), 4)


def test_an_epoch_ends_after_the_last_step(states: WorkerStates) -> None:
    state = join(states, 0, 0, "host")
    state.step = 1
    with pytest.raises(ProtocolError, match="epoch 0 ended after 1 of 2 steps"):
        states.finish_epoch(0, 0)
    state.step = 2
    assert states.finish_epoch(0, 0)
    assert state.position == Position(1, 0)
    assert not states.finish_epoch(0, 0)  # repeated after a lost response
    with pytest.raises(ProtocolError, match="expected epoch 1, got epoch 2"):
        states.finish_epoch(0, 2)


def test_a_worker_is_lost_after_the_stall_timeout(states: WorkerStates, clock: Clock) -> None:
    join(states, 0, 0, "alpha")
    clock.now = 30.0
    assert states.stalled() is None
    clock.now = 31.0
    assert "worker 0 on alpha has not responded for 31 s, in epoch 1, step 1" in str(
        states.stalled()
    )
    states.heard_from(Caller((0,), 0))
    assert states.stalled() is None


def test_only_workers_with_steps_left_can_be_lost(states: WorkerStates, clock: Clock) -> None:
    join(states, 1, 0, "without rows")
    clock.now = 100.0
    assert states.stalled() is None
    join(states, 0, 0, "finished").finished = True
    clock.now = 200.0
    assert states.stalled() is None


def test_a_worker_that_has_not_joined_is_not_lost(states: WorkerStates, clock: Clock) -> None:
    clock.now = 1000.0
    assert states.stalled() is None
    assert not states.any_joined()


def test_reset_heartbeats_forgets_earlier_calls(states: WorkerStates, clock: Clock) -> None:
    join(states, 0, 0, "host")
    states.reset_heartbeats()
    clock.now = 1000.0
    assert states.stalled() is None
    assert states.any_joined()
