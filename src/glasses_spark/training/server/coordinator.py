"""Coordinator: keeps the workers of one fit in step and enters each push exactly once.

It knows neither sockets nor Spark. The parameter server calls it from one
thread a request; the trainer in the driver takes the epochs from it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import numpy as np

from glasses_spark.errors import WorkerError
from glasses_spark.training.history import EpochLedger, EpochTotals
from glasses_spark.training.schedule import HOGWILD, Schedule
from glasses_spark.training.server.protocol import ProtocolError
from glasses_spark.training.server.shared_weights import Master
from glasses_spark.training.server.state import (
    FitEndedError,
    NotYetError,
    Position,
    Verdict,
    WorkerState,
)
from glasses_spark.training.weights import Vector

logger = logging.getLogger(__name__)

# A call never waits longer inside the server, so that every call can have a
# deadline although an epoch may take hours.
LONGEST_WAIT_S: Final = 20.0


class Coordinator:
    """The state of one fit in the driver.

    Args:
        schedule: Who pushes what and when.
        master: The weights.
        state_size: Numbers in the state of the model's metrics.
        stall_timeout: Seconds after which a silent worker counts as lost.
        clock: Seconds that only go forward.
    """

    def __init__(
        self,
        schedule: Schedule,
        master: Master,
        *,
        state_size: int,
        stall_timeout: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.schedule = schedule
        self.master = master
        self.state_size = state_size
        self._stall_timeout = stall_timeout
        self._clock = clock
        self._changed = threading.Condition()
        self._workers = [WorkerState() for _ in schedule.rows]
        self._ledgers: dict[int, EpochLedger] = {}
        self._complete: deque[EpochTotals] = deque()
        # The common position, in synchronous mode: steps of this epoch that are applied.
        self._epoch = 0
        self._step = 0
        self._pending: dict[int, tuple[Vector, int]] = {}
        self._verdict = Verdict(stop=False, learning_rate=None)
        self.written = master.vector()
        self._failure: Exception | None = None

    # What the workers call.

    def join(self, worker: int, attempt: int, host: str) -> tuple[Position, Verdict]:
        """Take a worker in, for the first time or again after its task was retried."""
        with self._changed:
            state = self._known(worker)
            if attempt < state.attempt:
                raise FitEndedError(f"worker {worker}: attempt {state.attempt} has taken over")
            state.attempt, state.host, state.last_heard = attempt, host, self._clock()
            logger.debug("worker %d has joined from %s", worker, host)
            self._changed.notify_all()  # an older attempt that waits here gives up
            if self.schedule.synchronous:
                self._wait_until(lambda: self._epoch >= state.epoch, worker, attempt)
            return Position(state.epoch, state.step), self._verdict

    def pull(self, worker: int, attempt: int, epoch: int, step: int) -> Vector:
        """The weights with which a worker does a step; waits for them in synchronous mode."""
        with self._changed:
            self._require(worker, attempt)
            return self._weights_for(worker, attempt, epoch, step)

    def push(
        self,
        worker: int,
        attempt: int,
        position: Position,
        rows: int,
        update: Vector,
        metric_state: Vector,
    ) -> Vector:
        """Take a worker's update, once, and give the weights for its next step.

        A push that was entered before (its answer was lost, or a task was
        retried) is answered, and changes nothing.
        """
        epoch, step = position.epoch, position.step
        with self._changed:
            state = self._require(worker, attempt)
            if (epoch, step) > (state.epoch, state.step):
                raise ProtocolError(
                    f"worker {worker}: expected epoch {state.epoch} step {state.step}, "
                    f"got epoch {epoch} step {step}"
                )
            if (epoch, step) < (state.epoch, state.step):
                return self._weights_for(worker, attempt, epoch, step + 1)
            due = self.schedule.rows_in_push(worker, step)
            if step >= self.schedule.steps(worker) or rows != due:
                raise ProtocolError(
                    f"worker {worker}: expected {max(0, due)} rows in step {step}, got {rows}"
                )
            if not np.isfinite(update).all():
                raise self._fail(
                    WorkerError(
                        f"worker {worker} sent numbers that are not finite in epoch {epoch + 1}, "
                        f"step {step + 1}: training diverged; lower training.learning_rate, or "
                        "look for values that are not finite in the features"
                    )
                )
            others = self.master.version - state.pulled_version
            staleness = 0 if self.schedule.synchronous else others
            self._ledger(epoch).enter_push(worker, rows, metric_state, staleness)
            state.step += 1
            if self.schedule.synchronous:
                self._pending[worker] = (update, rows)
                self._apply_when_all_are_in()
            elif self.schedule.mode != HOGWILD:
                self.master.apply(update, staleness=staleness)
            if self.schedule.mode != HOGWILD:
                return self._weights_for(worker, attempt, epoch, step + 1)
        # Hogwild: the update itself is made outside the lock and may cross others.
        self.master.apply(update, staleness=staleness)
        state.pulled_version = self.master.version
        return self.master.vector()

    def finish_epoch(
        self,
        worker: int,
        attempt: int,
        epoch: int,
        validation_state: Vector,
        *,
        seconds: float,
        waiting: float,
    ) -> Verdict:
        """End a worker's epoch; in synchronous mode, wait for all and for the driver's verdict."""
        with self._changed:
            state = self._require(worker, attempt)
            if epoch == state.epoch:
                if state.step != self.schedule.steps(worker):
                    raise ProtocolError(
                        f"worker {worker}: epoch {epoch} has {self.schedule.steps(worker)} steps, "
                        f"and ended after {state.step}"
                    )
                state.epoch, state.step = epoch + 1, 0
                ledger = self._ledger(epoch)
                ledger.enter_finish(worker, validation_state, seconds, waiting)
                if len(ledger.finished) == self._participants():
                    self._complete.append(self._ledgers.pop(epoch).totals(epoch))
                    self._changed.notify_all()
            elif epoch > state.epoch:
                raise ProtocolError(
                    f"worker {worker}: expected epoch {state.epoch}, got epoch {epoch}"
                )
            if self.schedule.synchronous:
                self._wait_until(lambda: self._epoch > epoch, worker, attempt)
            state.gone = self._verdict.stop or state.epoch >= self.schedule.epochs
            return self._verdict

    def heartbeat(self, worker: int, attempt: int) -> None:
        """Hear that a worker lives, while it computes."""
        with self._changed:
            self._require(worker, attempt)

    def fail(self, error: Exception) -> None:
        """End the fit with an error; whoever waits is sent home. The first error counts."""
        with self._changed:
            self._fail(error)

    # What the driver calls.

    def next_epoch(self, *, running: Callable[[], bool], poll: float = 0.5) -> EpochTotals | None:
        """Wait for the next epoch that all workers have finished.

        Args:
            running: Tells whether the Spark job still runs.
            poll: Seconds between two looks at ``running`` and at the workers' silence.

        Returns:
            Its totals, or None when the job has ended and no epoch is left.

        Raises:
            TrainingError: A worker failed, sent what it may not, or fell silent.
        """
        with self._changed:
            while True:
                if self._failure is not None:
                    raise self._failure
                if self._complete:
                    return self._complete.popleft()
                if not running():
                    return None
                self._look_for_stalls()
                if self._failure is None:
                    self._changed.wait(poll)

    def begin(self, verdict: Verdict) -> None:
        """Set what the workers are told when they join."""
        with self._changed:
            self._verdict = verdict

    def proceed(self, verdict: Verdict) -> None:
        """Let the workers go on after an epoch, or tell them that it was the last."""
        with self._changed:
            self._verdict = verdict
            self._epoch += 1
            self._step = 0
            self._changed.notify_all()

    def wake(self) -> None:
        """Make `next_epoch` look again, because the Spark job has ended."""
        with self._changed:
            self._changed.notify_all()

    def write_to_model(self) -> None:
        """Copy the weights between two updates into the Keras model; `written` tells them."""
        with self._changed:
            self.written = self.master.vector()
        self.master.write_to_model(self.written)

    def set_learning_rate(self, value: float) -> None:
        """Set the rate of the master's own optimizer."""
        with self._changed:
            self.master.set_learning_rate(value)

    def settle(self) -> None:
        """Take over what hogwild updates left, once no more can come."""
        with self._changed:
            self.master.settle()

    def has_been_joined(self) -> bool:
        """Whether any worker ever found its way here."""
        with self._changed:
            return any(state.attempt >= 0 for state in self._workers)

    def restart(self) -> None:
        """Forget when the workers were last heard of: they are about to be started anew."""
        with self._changed:
            for state in self._workers:
                state.last_heard = None

    def replace_weights(self, vector: Vector) -> None:
        """Set the weights that the workers pull next, as a callback may do after an epoch."""
        with self._changed:
            self.master.replace(vector)

    # Inside, with the lock held.

    def _known(self, worker: int) -> WorkerState:
        if not 0 <= worker < len(self._workers):
            raise ProtocolError(
                f"worker: expected a number below {len(self._workers)}, got {worker}"
            )
        if self._failure is not None:
            raise FitEndedError("the fit has failed")
        return self._workers[worker]

    def _require(self, worker: int, attempt: int) -> WorkerState:
        state = self._known(worker)
        if attempt != state.attempt:
            raise FitEndedError(f"worker {worker}: attempt {attempt} is not the one that counts")
        state.last_heard = self._clock()
        return state

    def _wait_until(self, condition: Callable[[], bool], worker: int, attempt: int) -> None:
        patience = self._clock() + LONGEST_WAIT_S
        while not condition():
            left = patience - self._clock()
            if left <= 0:
                raise NotYetError("not yet")
            self._changed.wait(left)
            self._require(worker, attempt)

    def _weights_for(self, worker: int, attempt: int, epoch: int, step: int) -> Vector:
        if self.schedule.synchronous:
            # The last push of a worker's epoch waits for the last of all workers.
            last = step >= self.schedule.steps(worker)
            wanted = (epoch, self.schedule.steps_per_epoch if last else step)
            self._wait_until(lambda: (self._epoch, self._step) >= wanted, worker, attempt)
        self._workers[worker].pulled_version = self.master.version
        return self.master.vector()

    def _apply_when_all_are_in(self) -> None:
        due = [
            worker
            for worker in range(self.schedule.workers)
            if self._step < self.schedule.steps(worker)
        ]
        if all(worker in self._pending for worker in due):
            updates, rows = zip(*(self._pending[worker] for worker in due), strict=True)
            self.master.apply_mean(updates, rows)
            self._pending.clear()
            self._step += 1
            self._changed.notify_all()

    def _participants(self) -> int:
        return sum(self.schedule.takes_part(worker) for worker in range(self.schedule.workers))

    def _ledger(self, epoch: int) -> EpochLedger:
        if epoch not in self._ledgers:
            self._ledgers[epoch] = EpochLedger(self.schedule.workers, self.state_size)
        return self._ledgers[epoch]

    def _fail(self, error: Exception) -> Exception:
        if self._failure is None:
            self._failure = error
            self._changed.notify_all()
        return error

    def _look_for_stalls(self) -> None:
        now = self._clock()
        for number, state in enumerate(self._workers):
            if state.last_heard is None or state.gone or not self.schedule.takes_part(number):
                continue
            silence = now - state.last_heard
            if silence > self._stall_timeout:
                self._fail(
                    WorkerError(
                        f"worker {number} on {state.host} has been silent for {silence:.0f} s, in "
                        f"epoch {state.epoch + 1}, step {state.step + 1}; the limit is "
                        f"training.stall_timeout = {self._stall_timeout:.0f} s. Look whether the "
                        "machine is overloaded or the process was stopped; raise the limit if "
                        "a pause of that length is normal there"
                    )
                )
