"""Fit control: the state of one fit under its lock, and the calls of the driver."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from glasses_spark.training.history import EpochTotals
from glasses_spark.training.schedule import Schedule
from glasses_spark.training.server.calls import EpochDecision
from glasses_spark.training.server.common_step import CommonStep
from glasses_spark.training.server.fit_state import FitState
from glasses_spark.training.server.ledgers import OpenLedgers
from glasses_spark.training.server.restore import restore_state, state_of
from glasses_spark.training.server.shared_weights import SharedWeights
from glasses_spark.training.server.state import FitStatus, WorkerStates
from glasses_spark.training.weights import Vector

# No call waits longer in the server, so that every call can have a deadline
# although an epoch may take hours.
LONGEST_WAIT_S: Final = 20.0


class FitControl:
    """The state of one fit under its lock, and what the driver does with it.

    Args:
        schedule: Steps and rows of each worker.
        shared_weights: The weights that the workers train.
        state_size: Number of values in the state of the model's metrics.
        carried_metrics: Whether the state of a push is that of all batches of the epoch so far.
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
        carried_metrics: bool = False,
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
        self._ledgers = OpenLedgers(schedule, state_size, carried=carried_metrics)
        self._common_step = CommonStep(schedule)
        self._decision = EpochDecision(stop=False, learning_rate=None)
        self._failure: Exception | None = None
        self._progress = 0

    def fail(self, error: Exception) -> None:
        """End the fit with an error and release waiting workers. The first error counts."""
        with self._changed:
            self._fail(error)

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

    def _fail(self, error: Exception) -> Exception:
        if self._failure is None:
            self._failure = error
            self._changed.notify_all()
        return error
