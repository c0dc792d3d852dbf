"""Coordinator: applies each update of the workers of one fit once and keeps them in step.

It knows neither sockets nor Spark. The parameter server calls it from one
thread per request; the driver takes the finished epochs from it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from glasses_spark.config.training import HOGWILD
from glasses_spark.errors import WorkerError
from glasses_spark.training.history import EpochTotals
from glasses_spark.training.schedule import Schedule
from glasses_spark.training.server.calls import Caller, EpochDecision, EpochEnd, Position, Push
from glasses_spark.training.server.common_step import CommonStep
from glasses_spark.training.server.fit_state import FitState
from glasses_spark.training.server.ledgers import OpenLedgers
from glasses_spark.training.server.protocol import ProtocolError
from glasses_spark.training.server.restore import restore_state, state_of
from glasses_spark.training.server.shared_weights import SharedWeights
from glasses_spark.training.server.state import (
    FitEndedError,
    FitStatus,
    NotYetError,
    WorkerState,
    WorkerStates,
)
from glasses_spark.training.weights import Vector

logger = logging.getLogger(__name__)

# No call waits longer in the server, so that every call can have a deadline
# although an epoch may take hours.
LONGEST_WAIT_S: Final = 20.0


class Coordinator:
    """The driver's side of one fit.

    Args:
        schedule: Steps and rows of each worker.
        shared_weights: The weights that the workers train.
        state_size: Number of values in the state of the model's metrics.
        stall_timeout: Seconds without a call after which a worker counts as lost.
        longest_wait: Seconds that a call may wait for other workers.
        clock: Returns seconds that never decrease.

    Attributes:
        written_weights: The weights that `write_to_model` wrote last, ``(size,)``.
    """

    def __init__(
        self,
        schedule: Schedule,
        shared_weights: SharedWeights,
        *,
        state_size: int,
        stall_timeout: float,
        longest_wait: float = LONGEST_WAIT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.schedule = schedule
        self.shared_weights = shared_weights
        self.state_size = state_size
        self.written_weights = shared_weights.vector()
        self._longest_wait = longest_wait
        self._clock = clock
        self._changed = threading.Condition()
        self._workers = WorkerStates(schedule, stall_timeout=stall_timeout, clock=clock)
        self._ledgers = OpenLedgers(schedule, state_size)
        self._common_step = CommonStep(schedule)
        self._decision = EpochDecision(stop=False, learning_rate=None)
        self._failure: Exception | None = None
        self._progress = 0

    # Called by the workers, through the parameter server.

    def join(self, caller: Caller, host: str) -> tuple[list[WorkerState], EpochDecision]:
        """Register the workers of a task, for the first time or after a retry of the task.

        Returns:
            The state of each worker, in the order of the caller, and the decision for the
            epoch that they are in.
        """
        with self._changed:
            self._require_running()
            states = self._workers.join(caller, host)
            for worker in caller.workers:
                logger.debug("worker %d has joined from %s", worker, host)
            self._changed.notify_all()  # ends the waiting of an older attempt
            if self.schedule.synchronous:
                epoch = min(state.epoch for state in states)
                self._wait_until(lambda: self._common_step.position.epoch >= epoch, caller)
            return states, self._decision

    def pull(self, caller: Caller, position: Position) -> tuple[Vector, int]:
        """Return the weights and their version.

        In synchronous mode the call waits until all steps before the position are applied.
        """
        with self._changed:
            self._current(caller)
            return self._weights_at(caller, position)

    def push(self, caller: Caller, worker: int, push: Push) -> tuple[Vector, int] | None:
        """Apply a worker's update.

        A repeated push (after a lost response or a retried task) is answered
        and changes nothing.

        Returns:
            The weights for the step that the push awaits, and their version; None if it
            awaits none.

        Raises:
            ProtocolError: The push is not the next one of this worker.
            WorkerError: The update has values that are not finite.
        """
        position, update, staleness = push.position, push.update, 0
        with self._changed:
            self._current(caller)
            state = self._workers.of(caller, worker)
            if position < state.position:
                return self._answer(caller, push)
            self._workers.require_due_push(worker, position, push.rows)
            self._require_finite(worker, position, update)
            if not self.schedule.synchronous:
                staleness = self.shared_weights.version - push.version
                if staleness < 0:
                    raise ProtocolError(
                        f"version: expected at most {self.shared_weights.version}, got "
                        f"{push.version}"
                    )
            self._ledgers.enter_push(
                position.epoch,
                worker,
                rows=push.rows,
                metric_state=push.metric_state,
                staleness=staleness,
            )
            state.step += 1
            self._progress += 1
            state.random_states = push.random_states
            if self.schedule.synchronous:
                self._apply_when_complete(self._common_step.add(worker, update, push.rows))
            elif self.schedule.mode != HOGWILD:
                self.shared_weights.apply(update, rows=push.rows, staleness=staleness)
            if self.schedule.mode != HOGWILD:
                return self._answer(caller, push)
        # Hogwild applies the update outside the lock: updates may overlap.
        self.shared_weights.apply(update, rows=push.rows, staleness=staleness)
        return self._versioned(push.awaited)

    def finish_epoch(self, caller: Caller, worker: int, end: EpochEnd) -> EpochDecision:
        """End an epoch of a worker.

        In synchronous mode a call with ``wait`` waits for all workers and for the driver's
        decision.

        Raises:
            ProtocolError: The worker has steps left in this epoch.
        """
        epoch = end.epoch
        with self._changed:
            self._current(caller)
            state = self._workers.of(caller, worker)
            if self._workers.finish_epoch(worker, epoch):
                state.random_states = end.random_states
                self._ledgers.enter_finish(epoch, worker, end)
                self._changed.notify_all()
            if self.schedule.synchronous and end.wait:
                self._wait_until(lambda: self._common_step.position.epoch > epoch, caller)
            for number in caller.workers:
                each = self._workers.of(caller, number)
                each.finished = self._decision.stop or each.epoch >= self.schedule.epochs
            return self._decision

    def receive_optimizer_state(
        self, caller: Caller, worker: int, epochs: int, part: int, vector: Vector
    ) -> None:
        """Keep a part of the state that a worker's own optimizer has after some epochs."""
        with self._changed:
            self._current(caller)
            self._workers.of(caller, worker)
            self.shared_weights.own_optimizers.receive(worker, epochs, part, vector)

    def optimizer_state(self, caller: Caller, worker: int) -> list[Vector]:
        """Return the parts of the state of a worker's own optimizer; empty if unknown."""
        with self._changed:
            self._current(caller)
            position = self._workers.of(caller, worker).position
            epochs = position.epoch + (position.step > 0)
            return self.shared_weights.own_optimizers.after(worker, epochs)

    def heartbeat(self, caller: Caller) -> None:
        """Record that a task is alive."""
        with self._changed:
            self._current(caller)

    def fail(self, error: Exception) -> None:
        """End the fit with an error and release waiting workers. The first error counts."""
        with self._changed:
            self._fail(error)

    # Called by the driver.

    def next_epoch(
        self,
        *,
        running: Callable[[], bool],
        poll: float = 0.5,
        on_poll: Callable[[], None] = lambda: None,
    ) -> EpochTotals | None:
        """Wait for the next epoch that all workers have finished.

        Args:
            running: Returns whether the Spark job is running.
            poll: Seconds between two checks of the job and of the workers' heartbeats.
            on_poll: Called before each check, without the lock.

        Returns:
            Totals of the epoch; None when the job has ended and no epoch is left.

        Raises:
            TrainingError: A worker failed, sent an invalid update or stopped responding.
        """
        while True:
            on_poll()
            with self._changed:
                if self._failure is not None:
                    raise self._failure
                if (totals := self._ledgers.pop_finished()) is not None:
                    return totals
                if not running():
                    return None
                if (stalled := self._workers.stalled()) is not None:
                    raise self._fail(stalled)
                self._changed.wait(poll)

    def begin(self, decision: EpochDecision) -> None:
        """Set the decision that workers receive when they join."""
        with self._changed:
            self._decision = decision

    def proceed(self, decision: EpochDecision) -> None:
        """Start the next epoch, or end the fit where the decision says so."""
        with self._changed:
            self._decision = decision
            self._common_step.begin_next_epoch()
            self._changed.notify_all()

    def wake(self) -> None:
        """Let `next_epoch` check at once whether the Spark job is running."""
        with self._changed:
            self._changed.notify_all()

    def write_to_model(self) -> None:
        """Copy the weights into the Keras model, and into `written_weights`."""
        with self._changed:
            self.written_weights = self.shared_weights.vector()
        self.shared_weights.write_to_model(self.written_weights)

    def set_learning_rate(self, value: float) -> None:
        """Set the learning rate of the optimizer in the driver."""
        with self._changed:
            self.shared_weights.set_learning_rate(value)

    def refresh(self) -> None:
        """Read the weights back from the optimizer, after the last hogwild update."""
        with self._changed:
            self.shared_weights.refresh()

    def has_been_joined(self) -> bool:
        """Return whether at least one worker has joined."""
        with self._changed:
            return self._workers.any_joined()

    def progress(self) -> int:
        """Return the number of pushes so far."""
        with self._changed:
            return self._progress

    def status(self) -> FitStatus:
        """Return how far the fit has come."""
        with self._changed:
            epoch, rows = self._ledgers.oldest() or (self._workers.first_epoch(), 0)
            alive = self._workers.alive()
            return FitStatus(epoch, rows, alive, self._ledgers.participants)

    def reset_heartbeats(self) -> None:
        """Clear the times of the workers' last calls, before the workers are started again."""
        with self._changed:
            self._workers.reset_heartbeats()

    def state(self) -> FitState | None:
        """Return the state of the fit; None if the fit fails or hangs meanwhile.

        In synchronous mode the call waits until no worker has sent its update for the step.
        """
        with self._changed:
            if not self._changed.wait_for(self._is_between_steps, self._longest_wait):
                return None
            if self._failure is not None:
                return None
            return state_of(
                self._workers,
                self._common_step,
                self._ledgers,
                self.shared_weights,
                decision=self._decision,
            )

    def restore(self, state: FitState) -> None:
        """Continue from the state of a fit with the same schedule, before workers join.

        Raises:
            TrainingError: The state is that of another fit.
        """
        with self._changed:
            self._decision = state.decision
            restore_state(
                state, self._workers, self._common_step, self._ledgers, self.shared_weights
            )

    def replace_weights(self, vector: Vector) -> None:
        """Set the weights ``(size,)`` that workers pull next, as callbacks may between epochs."""
        with self._changed:
            self.shared_weights.replace(vector)

    # Private; the lock is held.

    def _is_between_steps(self) -> bool:
        return self._failure is not None or self._common_step.is_between_steps()

    def _require_running(self) -> None:
        if self._failure is not None:
            raise FitEndedError("the fit has failed")

    def _current(self, caller: Caller) -> None:
        self._require_running()
        self._workers.heard_from(caller)

    def _require_finite(self, worker: int, position: Position, update: Vector) -> None:
        if not np.isfinite(update).all():
            raise self._fail(
                WorkerError(
                    f"worker {worker} sent an update with values that are not finite, in epoch "
                    f"{position.epoch + 1}, step {position.step + 1}: training diverged. Lower "
                    "training.learning_rate, or check the features for values that are not finite"
                )
            )

    def _wait_until(self, condition: Callable[[], bool], caller: Caller) -> None:
        deadline = self._clock() + self._longest_wait
        while not condition():
            remaining = deadline - self._clock()
            if remaining <= 0:
                raise NotYetError("the wait for other workers timed out")
            self._changed.wait(remaining)
            self._current(caller)

    def _weights_at(self, caller: Caller, position: Position) -> tuple[Vector, int]:
        if self.schedule.synchronous:
            self._wait_until(lambda: self._common_step.position >= position, caller)
        return self._versioned(position)

    def _answer(self, caller: Caller, push: Push) -> tuple[Vector, int] | None:
        return None if push.awaited is None else self._weights_at(caller, push.awaited)

    def _versioned(self, position: Position | None) -> tuple[Vector, int]:
        # In this order: weights of a later version make no update look less stale than it is.
        version = self.shared_weights.version
        # After its last step of an epoch a task evaluates the weights.
        if position is None or position.step >= self.schedule.steps_per_epoch:
            return self.shared_weights.vector(), version
        return self.shared_weights.vector_ahead(), version

    def _apply_when_complete(self, updates: Sequence[tuple[Vector, int]]) -> None:
        if updates:
            self.shared_weights.apply_mean(
                [update for update, _ in updates], [rows for _, rows in updates]
            )
            self._changed.notify_all()

    def _fail(self, error: Exception) -> Exception:
        if self._failure is None:
            self._failure = error
            self._changed.notify_all()
        return error
