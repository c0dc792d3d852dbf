"""Worker states: progress, attempts and heartbeats of the workers of one fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from glasses_spark.errors import TrainingError, WorkerError
from glasses_spark.training.schedule import Schedule
from glasses_spark.training.server.calls import Caller, Position, RandomStates
from glasses_spark.training.server.fit_state import WorkerProgress
from glasses_spark.training.server.protocol import CallEndedError, ProtocolError
from glasses_spark.training.weights import Vector

# Workers call at least every 5 s (`coordination.LONGEST_HEARTBEAT_S`), and a call may be lost.
LATELY_S: Final = 15.0


class FitEndedError(CallEndedError):
    """The fit is over, or a newer attempt replaced this attempt of a task."""


class NotYetError(TrainingError):
    """The worker has to wait longer; it repeats the call, which also shows that it is alive."""


@dataclass(frozen=True)
class FitStatus:
    """How far a fit has come.

    Attributes:
        epoch: First epoch that some worker has not finished, from 0.
        rows: Rows of that epoch that the workers have used.
        alive: Number of workers that have called lately.
        workers: Number of workers with rows.
    """

    epoch: int
    rows: int
    alive: int
    workers: int


@dataclass
class WorkerState:
    """State of one worker.

    Attributes:
        attempt: Number of the current attempt of its task, -1 before the first.
        host: Machine and process, for error messages.
        epoch: Epoch of its next step, from 0.
        step: Its next step in that epoch, from 0.
        random_states: State of its random generators before that step; empty before its first
            push.
        metric_state: State of the metrics with which it goes on within an epoch, if the metrics
            need one; set when it joins.
        last_heard: Time of its last call in seconds of the clock; None before
            the first call.
        finished: Whether it has no steps left.
        answered: Time of the last answer with weights to its task, as `last_heard`.
    """

    attempt: int = -1
    host: str = ""
    epoch: int = 0
    step: int = 0
    random_states: RandomStates = ()
    metric_state: Vector | None = None
    last_heard: float | None = None
    finished: bool = False
    answered: float | None = None

    @property
    def position(self) -> Position:
        """Epoch and step of its next push."""
        return Position(self.epoch, self.step)


class WorkerStates:
    """The states of all workers, and the checks of their calls.

    Not thread-safe: the coordinator calls it with its lock held.

    Args:
        schedule: Steps and rows of each worker.
        stall_timeout: Seconds without a call after which a worker counts as lost.
        clock: Returns seconds that never decrease.
    """

    def __init__(
        self, schedule: Schedule, *, stall_timeout: float, clock: Callable[[], float]
    ) -> None:
        self._schedule = schedule
        self._stall_timeout = stall_timeout
        self._clock = clock
        self._states = [WorkerState() for _ in schedule.rows]

    def join(self, caller: Caller, host: str) -> list[WorkerState]:
        """Register an attempt of a task for its workers, which replaces older attempts.

        Returns:
            The states of the workers, in the order of the caller.

        Raises:
            FitEndedError: A newer attempt has registered before.
            ProtocolError: The fit has no worker of one of the numbers.
        """
        states = [self._state(worker) for worker in caller.workers]
        for worker, state in zip(caller.workers, states, strict=True):
            if caller.attempt < state.attempt:
                raise FitEndedError(
                    f"worker {worker}: attempt {caller.attempt} was replaced by attempt "
                    f"{state.attempt}"
                )
        for state in states:
            state.attempt, state.host, state.last_heard = caller.attempt, host, self._clock()
        return states

    def heard_from(self, caller: Caller) -> list[WorkerState]:
        """Record a call of the current attempt of some workers.

        Returns:
            The states of the workers, in the order of the caller.

        Raises:
            FitEndedError: Another attempt is the current one.
            ProtocolError: The fit has no worker of one of the numbers.
        """
        states = [self._state(worker) for worker in caller.workers]
        for worker, state in zip(caller.workers, states, strict=True):
            if caller.attempt != state.attempt:
                raise FitEndedError(
                    f"worker {worker}: attempt {caller.attempt} is not the current attempt"
                )
            state.last_heard = self._clock()
        return states

    def of(self, caller: Caller, worker: int) -> WorkerState:
        """Return the state of one of a caller's workers.

        Raises:
            ProtocolError: The caller hosts no worker of this number.
        """
        if worker not in caller.workers:
            raise ProtocolError(
                f"worker: expected one of {', '.join(map(str, caller.workers))}, got {worker}"
            )
        return self._state(worker)

    def answered(self, caller: Caller) -> None:
        """Record an answer with weights to the task of some workers."""
        for worker in caller.workers:
            self._state(worker).answered = self._clock()

    def seconds_since_answer(self, worker: int) -> float:
        """Return for how long a worker has computed: the seconds since the last answer."""
        answered = self._state(worker).answered
        return 0.0 if answered is None else self._clock() - answered

    def others_train(self, caller: Caller) -> bool:
        """Return whether workers of other tasks have steps left and have called lately."""
        now, epochs = self._clock(), self._schedule.epochs
        return any(
            state.last_heard is not None
            and now - state.last_heard <= LATELY_S
            and state.epoch < epochs
            for worker, state in enumerate(self._states)
            if worker not in caller.workers and self._schedule.takes_part(worker)
        )

    def progress(self) -> tuple[WorkerProgress, ...]:
        """Return the progress of each worker."""
        return tuple(
            WorkerProgress(state.position, tuple(map(tuple, state.random_states)))
            for state in self._states
        )

    def restore(self, progress: Sequence[WorkerProgress]) -> None:
        """Let workers continue from their progress.

        Raises:
            TrainingError: It is that of more or fewer workers.
        """
        if len(progress) != len(self._states):
            raise TrainingError(
                f"the checkpoint is of {len(progress)} workers, the fit has {len(self._states)}. "
                "Use the same number of workers, or delete the checkpoint"
            )
        for state, worker in zip(self._states, progress, strict=True):
            state.epoch, state.step = worker.position.epoch, worker.position.step
            state.random_states = worker.random_states

    def require_due_push(self, worker: int, position: Position, rows: int) -> None:
        """Refuse a push that is not the next one of its worker.

        Raises:
            ProtocolError: The push is of a later step, or has another number of rows.
        """
        due = self._state(worker).position
        if position != due:
            raise ProtocolError(
                f"worker {worker}: expected epoch {due.epoch} step {due.step}, "
                f"got epoch {position.epoch} step {position.step}"
            )
        due_rows = self._schedule.rows_in_push(worker, due.step)
        if due.step >= self._schedule.steps(worker) or rows != due_rows:
            raise ProtocolError(
                f"worker {worker}: expected {max(0, due_rows)} rows in step {due.step}, got {rows}"
            )

    def finish_epoch(self, worker: int, epoch: int) -> bool:
        """Move a worker to its next epoch.

        Returns:
            Whether the worker moved; False where a repeated call finds it in a
            later epoch.

        Raises:
            ProtocolError: The worker has steps left in the epoch, or has not
                reached the epoch.
        """
        state = self._state(worker)
        if epoch < state.epoch:
            return False
        if epoch > state.epoch:
            raise ProtocolError(f"worker {worker}: expected epoch {state.epoch}, got epoch {epoch}")
        steps = self._schedule.steps(worker)
        if state.step != steps:
            raise ProtocolError(
                f"worker {worker}: epoch {epoch} ended after {state.step} of {steps} steps"
            )
        state.epoch, state.step = epoch + 1, 0
        return True

    def alive(self) -> int:
        """Return the number of workers with rows that have called lately."""
        now = self._clock()
        return sum(
            state.last_heard is not None and now - state.last_heard <= LATELY_S
            for worker, state in enumerate(self._states)
            if self._schedule.takes_part(worker)
        )

    def first_epoch(self) -> int:
        """Return the epoch of the worker that is behind all others."""
        return min(state.epoch for state in self._states)

    def any_joined(self) -> bool:
        """Return whether at least one worker has registered."""
        return any(state.attempt >= 0 for state in self._states)

    def reset_heartbeats(self) -> None:
        """Clear the times of all calls, before the workers are started again."""
        for state in self._states:
            state.last_heard = None

    def stalled(self) -> WorkerError | None:
        """Return an error that names a lost worker; None while no worker is lost."""
        now = self._clock()
        for worker, state in enumerate(self._states):
            if state.last_heard is None or state.finished or not self._schedule.takes_part(worker):
                continue
            silence = now - state.last_heard
            if silence > self._stall_timeout:
                return WorkerError(
                    f"worker {worker} on {state.host} has not responded for {silence:.0f} s, in "
                    f"epoch {state.epoch + 1}, step {state.step + 1} "
                    f"(training.stall_timeout = {self._stall_timeout:.0f} s). Check whether the "
                    "machine is overloaded or the process was stopped. Raise the limit if such "
                    "pauses are normal there"
                )
        return None

    def _state(self, worker: int) -> WorkerState:
        if not 0 <= worker < len(self._states):
            raise ProtocolError(
                f"worker: expected a number below {len(self._states)}, got {worker}"
            )
        return self._states[worker]
