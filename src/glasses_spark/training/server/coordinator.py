"""Coordinator: applies each update of the workers of one fit once and keeps them in step.

It knows neither sockets nor Spark. The parameter server calls it from one
thread per request; the driver takes the finished epochs from it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from glasses_spark.config.training import HOGWILD
from glasses_spark.errors import WorkerError
from glasses_spark.training.server.calls import Caller, EpochDecision, EpochEnd, Position, Push
from glasses_spark.training.server.fit_control import FitControl
from glasses_spark.training.server.protocol import ProtocolError
from glasses_spark.training.server.state import FitEndedError, NotYetError, WorkerState
from glasses_spark.training.server.updates import LARGEST, is_usable
from glasses_spark.training.weights import Vector

logger = logging.getLogger(__name__)


class Coordinator(FitControl):
    """The calls of the workers, through the parameter server, and those of the driver."""

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
            for worker, state in zip(caller.workers, states, strict=True):
                within = state.step > 0
                state.metric_state = (
                    self._ledgers.carried_state(state.epoch, worker) if within else None
                )
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
            weights = self._weights_at(caller, position)
            self._workers.answered(caller)
            return weights

    def push(self, caller: Caller, worker: int, push: Push) -> tuple[Vector, int] | None:
        """Apply a worker's update.

        A repeated push (after a lost response or a retried task) is answered
        and changes nothing. A push that is a part of an asynchronous step is answered after that
        step, but no later than after the time that its worker computed.

        Returns:
            The weights for the step that the push awaits, and their version; None if it
            awaits none.

        Raises:
            ProtocolError: The push is not the next one of this worker.
            WorkerError: The update or the state of the metrics has values that are not finite,
                or larger than `LARGEST`.
        """
        position, update, staleness = push.position, push.update, 0
        # Of synchronous workers the mean is checked.
        usable = self.schedule.synchronous or is_usable(update)
        with self._changed:
            self._current(caller)
            state = self._workers.of(caller, worker)
            if position < state.position:
                return self._answer(caller, push)
            patience = self._workers.seconds_since_answer(worker)
            before = self.shared_weights.version
            self._workers.require_due_push(worker, position, push.rows)
            if not usable:
                raise self._fail(_diverged(worker, position))
            if not is_usable(push.metric_state):
                lost = not is_usable(update)
                raise self._fail((_diverged if lost else _unusable_metrics)(worker, position))
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
                complete = self._common_step.add(worker, update, push.rows)
                self._apply_when_complete(position, complete)
                return self._answer(caller, push)
            if self.schedule.mode != HOGWILD:
                self.shared_weights.apply(update, rows=push.rows, staleness=staleness)
        if self.schedule.mode == HOGWILD:
            # Outside the lock: other pushes need not wait.
            self.shared_weights.apply(update, rows=push.rows, staleness=staleness)
        with self._changed:
            self._changed.notify_all()
            if push.awaited is None:
                return None
            if worker != caller.workers[-1]:  # the next worker of the task does not wait
                return self._versioned(push.awaited)
            ahead = not self._has_stepped(caller, before, patience)
            self._workers.answered(caller)
            return self._versioned(push.awaited, ahead=ahead)

    def finish_epoch(self, caller: Caller, worker: int, end: EpochEnd) -> EpochDecision:
        """End an epoch of a worker.

        In synchronous mode a call with ``wait`` waits for all workers and for the driver's
        decision.

        Raises:
            ProtocolError: The worker has steps left in this epoch.
            WorkerError: The state of the metrics has values that are not finite, or larger than
                `LARGEST`.
        """
        epoch = end.epoch
        with self._changed:
            self._current(caller)
            state = self._workers.of(caller, worker)
            position = state.position
            if self._workers.finish_epoch(worker, epoch):
                if not is_usable(end.validation_state):
                    raise self._fail(_unusable_metrics(worker, position))
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
            if epochs > self.schedule.epochs:
                raise ProtocolError(
                    f"epochs: expected at most {self.schedule.epochs}, got {epochs}"
                )
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

    # Private; the lock is held.

    def _require_running(self) -> None:
        if self._failure is not None:
            raise FitEndedError("the fit has failed")

    def _current(self, caller: Caller) -> None:
        self._require_running()
        self._workers.heard_from(caller)

    def _wait_until(self, condition: Callable[[], bool], caller: Caller) -> None:
        deadline = self._clock() + self._longest_wait
        while not condition():
            remaining = deadline - self._clock()
            if remaining <= 0:
                raise NotYetError("the wait for other workers timed out")
            self._changed.wait(remaining)
            self._current(caller)

    def _has_stepped(self, caller: Caller, before: int, patience: float) -> bool:
        """Wait for a step after a version of the weights, but not longer than some seconds.

        Workers of equal speed then compute at weights from which no update is missing. A slow or
        lost one makes the others at most half as fast.

        Returns:
            Whether there was a step, or is none to wait for.
        """
        deadline = self._clock() + min(patience, self._longest_wait)
        while self.shared_weights.version == before and self._workers.others_train(caller):
            remaining = deadline - self._clock()
            if remaining <= 0:
                return False
            self._changed.wait(remaining)
            self._current(caller)
        return True

    def _weights_at(self, caller: Caller, position: Position) -> tuple[Vector, int]:
        if self.schedule.synchronous:
            self._wait_until(lambda: self._common_step.position >= position, caller)
        return self._versioned(position)

    def _answer(self, caller: Caller, push: Push) -> tuple[Vector, int] | None:
        return None if push.awaited is None else self._weights_at(caller, push.awaited)

    def _versioned(self, position: Position, *, ahead: bool = False) -> tuple[Vector, int]:
        # After its last step of an epoch a task evaluates the weights.
        return self.shared_weights.versioned(
            ahead=ahead and position.step < self.schedule.steps_per_epoch
        )

    def _apply_when_complete(
        self, position: Position, updates: Sequence[tuple[int, Vector, int]]
    ) -> None:
        if not updates:
            return
        vectors, rows = [vector for _, vector, _ in updates], [rows for _, _, rows in updates]
        if not self.shared_weights.apply_mean(vectors, rows):
            worst = next(
                (worker for worker, vector, _ in updates if not is_usable(vector)), updates[0][0]
            )
            raise self._fail(_diverged(worst, position))
        self._changed.notify_all()


def _diverged(worker: int, position: Position) -> WorkerError:
    return WorkerError(
        f"worker {worker} sent an update with values beyond {LARGEST:g} or not finite, in epoch "
        f"{position.epoch + 1}, step {position.step + 1}: training diverged. Lower "
        "training.learning_rate, or check the features for values that are not finite"
    )


def _unusable_metrics(worker: int, position: Position) -> WorkerError:
    return WorkerError(
        f"worker {worker} sent metrics with values beyond {LARGEST:g} or not finite, in epoch "
        f"{position.epoch + 1}, step {position.step + 1}. Lower training.learning_rate if the "
        "loss grew before; else check the loss, the metrics and the labels for a division by 0, "
        "a logarithm of 0 and very large numbers"
    )
