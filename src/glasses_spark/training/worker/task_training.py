"""Task training: the loop of a task, whose workers compute their steps in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from glasses_spark.config.training import BATCH, EPOCH
from glasses_spark.errors import WorkerError
from glasses_spark.runtime.gpu import take_granted_gpu
from glasses_spark.runtime.keras import import_keras
from glasses_spark.seeds import derive_seed
from glasses_spark.training.optimizers import pack, rate_variable
from glasses_spark.training.server.calls import EpochEnd, Position, Push
from glasses_spark.training.server.parameter_client import ParameterClient
from glasses_spark.training.server.protocol import Message
from glasses_spark.training.weights import Vector
from glasses_spark.training.worker.assignment import Assignment
from glasses_spark.training.worker.kept_steps import keep_steps
from glasses_spark.training.worker.steps import Steps
from glasses_spark.training.worker.worker import Worker

T = TypeVar("T")

# Computes the update of a worker's next step from the weights ``(size,)``, the state of the
# metrics, and the number of rows behind both.
Turn = Callable[[Vector], tuple[Vector, Vector, int]]


class TaskTraining:
    """The loop of a task: one model, with which the workers compute their steps in turn.

    Args:
        assignment: Settings of the fit.
        workers: Workers with training or validation rows, in the order of their numbers.
        client: Connection to the server.
    """

    def __init__(
        self, assignment: Assignment, workers: Sequence[Worker], client: ParameterClient
    ) -> None:
        self._assignment = assignment
        self._schedule = assignment.schedule
        self._workers = workers
        self._client = client
        self._waiting = 0.0
        # Whose state the optimizer has, with frequency="epoch".
        self._last_trained: Worker | None = None
        self._steps = self._build()
        for worker in workers:
            if self._schedule.frequency == EPOCH and worker.position > Position(0, 0):
                parts = client.optimizer_state(worker.number)
                if parts:
                    worker.optimizer_state = self._steps.unpack_optimizer_state(parts)
            if not worker.random_states:
                # Random layers without a seed, such as Dropout: the first worker draws the
                # numbers of the model given to `build_estimator`, each other one its own.
                seed = derive_seed(assignment.seed, "worker", worker.number)
                drawn = self._steps.random.draw(seed)
                worker.random_states = drawn if worker.number else self._steps.random.read()

    def run(self, start: Message) -> None:
        """Train the remaining epochs of each worker."""
        stop = self._follow(start)
        while not stop:
            epoch = min(worker.position.epoch for worker in self._workers)
            if epoch >= self._schedule.epochs:
                break
            stop = self._train_epoch(
                epoch, [each for each in self._workers if each.position.epoch == epoch]
            )
        for worker in self._workers:
            if worker.number == self._schedule.first_worker:
                # The fitted model has its state.
                self._send_optimizer_state(worker, worker.position.epoch)

    def _build(self) -> Steps:
        take_granted_gpu()
        keras = import_keras(threads=self._assignment.threads)
        first = self._workers[0].number
        keras.utils.set_random_seed(derive_seed(self._assignment.seed, "worker", first))
        spec, key = self._assignment.spec, self._assignment.steps_key
        steps = keep_steps(
            # Layers without a seed draw one when the model is built.
            f"{key}/{self._assignment.seed}/{first}" if key else "",
            spec.learning_rate,
            lambda: Steps(spec, self._assignment.row_format, self._assignment.metric_rules),
        )
        if steps.layout != self._assignment.layout:
            raise WorkerError(
                "the weights of the worker's model differ from the driver's in number or shape. "
                "Install the same versions of keras and glasses_spark on driver and executors"
            )
        return steps

    def _train_epoch(self, epoch: int, workers: Sequence[Worker]) -> bool:
        """Train the rest of an epoch; return whether the fit ends after it."""
        began, self._waiting = time.monotonic(), 0.0
        first, last = min(each.position.step for each in workers), max(w.steps for w in workers)
        weights = self._wait_for(lambda: self._client.pull(self._awaited(epoch, first, last)))
        train = self._batch_steps if self._schedule.frequency == BATCH else self._epoch_steps
        turns = {worker.number: train(epoch, worker) for worker in workers}
        for step in range(first, last):
            due = [worker for worker in workers if worker.position.step == step < worker.steps]
            for worker in due:
                self._steps.random.write(worker.random_states)
                update, state, rows = turns[worker.number](weights)
                worker.random_states = self._steps.random.read()
                # Synchronous workers compute with the same weights, and the last one of this
                # task waits for the next.
                is_last = worker is due[-1] or not self._schedule.synchronous
                push = Push(
                    worker.position,
                    rows=rows,
                    update=update,
                    metric_state=state,
                    version=self._client.version,
                    random_states=worker.random_states,
                    awaited=self._awaited(epoch, step + 1, last) if is_last else None,
                )
                weights = self._push(worker, push, weights)
                worker.position = Position(epoch, step + 1)
        return self._finish_epoch(epoch, workers, weights, began)

    def _awaited(self, epoch: int, step: int, last: int) -> Position:
        """Return the position whose weights this task needs before a step.

        After its last step of an epoch it needs those after the last step of all tasks.
        """
        return Position(epoch, step if step < last else self._schedule.steps_per_epoch)

    def _finish_epoch(
        self, epoch: int, workers: Sequence[Worker], weights: Vector, began: float
    ) -> bool:
        seconds, waiting = time.monotonic() - began, self._waiting
        if any(worker.validation_rows for worker in workers):
            self._steps.write(weights)
        stop = False
        for worker in workers:
            end = EpochEnd(
                epoch,
                validation_state=self._validate(worker),
                seconds=seconds,
                waiting=waiting,
                random_states=worker.random_states,
                wait=worker is workers[-1],
            )
            stop = self._follow(self._client.finish_epoch(worker.number, end))
            worker.position = Position(epoch + 1, 0)
        return stop

    def _follow(self, decision: Message) -> bool:
        """Take the learning rate of a decision; return whether it ends the fit."""
        rate = decision.header.get("learning_rate")
        if rate is not None:
            rate_variable(self._steps.model.optimizer).assign(float(rate))
        return bool(decision.header.get("stop"))

    def _batch_steps(self, epoch: int, worker: Worker) -> Turn:
        """Return what computes the gradient of the worker's next batch."""
        states = self._steps.states
        batches = worker.batches(epoch, first=worker.position.step)
        states.begin()
        if worker.metric_state is not None:
            states.write(np.asarray(worker.metric_state))
            worker.metric_state = None

        def turn(weights: Vector) -> tuple[Vector, Vector, int]:
            x, y, weight = next(batches)
            update, state = self._steps.gradient(weights, x, y, weight)
            return update, state, len(weight)

        return turn

    def _epoch_steps(self, epoch: int, worker: Worker) -> Turn:
        """Return what trains the worker's epoch with the worker's own optimizer."""

        def turn(weights: Vector) -> tuple[Vector, Vector, int]:
            self._steps.write(weights)
            if worker is not self._last_trained:
                self._steps.prepare_to_train(worker.optimizer_state)
                self._last_trained = worker
            states = self._steps.states
            states.begin()
            state = np.zeros(states.size)
            for x, y, weight in worker.batches(epoch):
                state = states.add(state, self._steps.train(x, y, weight))
            worker.optimizer_state = self._steps.optimizer_state()
            if self._assignment.keeps_optimizers:
                self._send_optimizer_state(worker, epoch + 1)
            after = self._steps.read()
            # Workers push trainable weights as a delta, and statistics as they are.
            cut = self._assignment.layout.trainable_size
            update = np.concatenate([weights[:cut] - after[:cut], after[cut:]])
            return update, state, worker.rows

        return turn

    def _send_optimizer_state(self, worker: Worker, epochs: int) -> None:
        if worker.optimizer_state is not None:
            parts = pack(worker.optimizer_state, self._assignment.layout)
            self._client.send_optimizer_state(worker.number, epochs, parts)

    def _validate(self, worker: Worker) -> Vector:
        states = self._steps.states
        state = np.zeros(states.size)
        if worker.validation_rows:
            self._steps.random.write(worker.random_states)
            states.begin()
            for x, y, weight in worker.validation_batches():
                state = states.add(state, self._steps.evaluate(x, y, weight))
            worker.random_states = self._steps.random.read()
        return state

    def _push(self, worker: Worker, push: Push, weights: Vector) -> Vector:
        answer = self._wait_for(lambda: self._client.push(worker.number, push))
        return weights if answer is None else answer

    def _wait_for(self, call: Callable[[], T]) -> T:
        began = time.monotonic()
        try:
            return call()
        finally:
            self._waiting += time.monotonic() - began
