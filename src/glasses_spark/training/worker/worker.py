"""Worker: one training task, from its rows in Arrow to its last push."""

from __future__ import annotations

import os
import socket
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from glasses_spark.config.training import BATCH, EPOCH
from glasses_spark.errors import WorkerError
from glasses_spark.runtime.gpu import take_granted_gpu
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.machine import spark_local_folder
from glasses_spark.runtime.random_states import draw_random_states
from glasses_spark.seeds import derive_seed
from glasses_spark.training.metric_states import DEFAULT_RULES, MetricRules
from glasses_spark.training.model_spec import ModelSpec
from glasses_spark.training.optimizers import pack, rate_variable
from glasses_spark.training.rows import KEY, VALIDATION, LabelCode, records
from glasses_spark.training.schedule import Schedule, epoch_order
from glasses_spark.training.server.parameter_client import ParameterClient, ServerAddress
from glasses_spark.training.server.protocol import CallEndedError, Message
from glasses_spark.training.weights import Vector, WeightLayout
from glasses_spark.training.worker.spool import Batch, RowFormat, Spool
from glasses_spark.training.worker.steps import Steps
from glasses_spark.training.worker.texts import Texts

# Result of a task: one row per worker.
REPORT_SCHEMA: Final = "worker int, rows bigint, host string"


@dataclass(frozen=True)
class Assignment:
    """Settings that all workers of a fit receive.

    Attributes:
        spec: Specification of the model.
        layout: Layout of its weights' vector.
        schedule: Steps and rows of each worker.
        row_format: Format of a row.
        label_codes: Encoding of the labels of each output.
        address: Address of the parameter server.
        seed: Seed of the run.
        threads: Number of threads on which a worker computes, at least 1.
        metric_rules: How the states of the metrics are computed.
    """

    spec: ModelSpec
    layout: WeightLayout
    schedule: Schedule
    row_format: RowFormat
    label_codes: tuple[LabelCode, ...]
    address: ServerAddress
    seed: int
    threads: int
    metric_rules: MetricRules = DEFAULT_RULES


def training_task(assignment: Assignment) -> Callable[[Iterable[Any]], Iterable[Any]]:
    """Make the function that Spark runs on each worker's partition.

    Args:
        assignment: Settings of the fit.

    Returns:
        A function for ``DataFrame.mapInArrow``. It takes the worker's rows and,
        after the last epoch, yields one row of `REPORT_SCHEMA`.
    """

    def run(batches: Iterable[Any]) -> Iterator[Any]:
        import pyarrow as pa
        from pyspark import TaskContext

        context = TaskContext.get()
        if context is None:
            raise WorkerError("a training task runs only in a Spark task")
        worker = context.partitionId()
        # Unique among all attempts of all tasks, and increasing with time.
        attempt = context.taskAttemptId()
        rows = train_worker(assignment, worker, attempt, batches)
        yield pa.RecordBatch.from_pydict(
            {
                "worker": pa.array([worker], pa.int32()),
                "rows": pa.array([rows], pa.int64()),
                "host": pa.array([socket.gethostname()]),
            }
        )

    return run


def train_worker(assignment: Assignment, worker: int, attempt: int, batches: Iterable[Any]) -> int:
    """Train as one worker of a fit.

    Args:
        assignment: Settings of the fit.
        worker: Number of this worker, from 0.
        attempt: Number of this attempt; the highest one counts.
        batches: Arrow record batches with the columns of `rows`.

    Returns:
        Number of training rows of this worker.

    Raises:
        WorkerError: The server cannot be reached or has refused a call.
    """
    host = f"{socket.gethostname()}, process {os.getpid()}"
    with ExitStack() as stack:
        client = stack.enter_context(
            ParameterClient(
                assignment.address,
                assignment.layout,
                worker=worker,
                attempt=attempt,
                host=host,
            )
        )
        start = client.join()
        try:
            folder = spark_local_folder()
            texts = stack.enter_context(Texts(folder))
            training, validation = (
                stack.enter_context(Spool(assignment.row_format, folder, texts)) for _ in range(2)
            )
            _write_rows(assignment, batches, texts, training, validation)
            _Worker(assignment, worker, client, training, validation).train(start)
        except CallEndedError:
            raise  # the driver has ended the fit
        except Exception as error:
            _report(client, error)
            raise
        return len(training)


def _write_rows(
    assignment: Assignment,
    batches: Iterable[Any],
    texts: Texts,
    training: Spool,
    validation: Spool,
) -> None:
    for batch in batches:
        rows = records(batch, assignment.row_format, assignment.label_codes, texts)
        keys = batch.column(KEY).to_numpy()
        is_validation = batch.column(VALIDATION).to_numpy(zero_copy_only=False)
        training.append(rows[~is_validation], keys[~is_validation])
        validation.append(rows[is_validation], keys[is_validation])
    texts.close_for_reading()
    training.close_for_reading()
    validation.close_for_reading()


def _report(client: ParameterClient, error: Exception) -> None:
    # Spark reports the error as well, also if the driver no longer responds.
    with suppress(WorkerError):
        client.fail(f"{type(error).__name__}: {error}", traceback.format_exc())


class _Worker:
    def __init__(
        self,
        assignment: Assignment,
        worker: int,
        client: ParameterClient,
        training: Spool,
        validation: Spool,
    ) -> None:
        self._schedule = assignment.schedule
        self._assignment = assignment
        self._number = worker
        self._client = client
        self._training = training
        self._validation = validation
        self._require_rows("training", training, self._schedule.rows)
        self._require_rows("validation", validation, self._schedule.validation_rows)
        self._waiting = 0.0

    def train(self, start: Message) -> None:
        """Train the remaining epochs, from the position in the server's response."""
        if not self._schedule.takes_part(self._number):
            return
        self._steps = self._build()
        epoch, step = start.integer("epoch"), start.integer("step")
        stop = bool(start.header.get("stop"))
        self._set_learning_rate(start.header.get("learning_rate"))
        while epoch < self._schedule.epochs and not stop:
            began, self._waiting = time.monotonic(), 0.0
            weights = self._pull(epoch, step)
            if step < self._schedule.steps(self._number):
                train = (
                    self._train_by_batch
                    if self._schedule.frequency == BATCH
                    else self._train_by_epoch
                )
                weights = train(epoch, step, weights)
            seconds, waiting = time.monotonic() - began, self._waiting
            decision = self._client.finish_epoch(
                epoch, validation_state=self._validate(weights), seconds=seconds, waiting=waiting
            )
            stop = bool(decision.header.get("stop"))
            self._set_learning_rate(decision.header.get("learning_rate"))
            epoch, step = epoch + 1, 0
        if self._schedule.frequency == EPOCH and self._number == self._schedule.first_worker:
            self._send_optimizer_state()

    def _build(self) -> Steps:
        take_granted_gpu()
        keras = import_keras(threads=self._assignment.threads)
        # Random layers without a seed, such as Dropout: the first worker draws the numbers of the
        # model given to `build_estimator`, each other worker its own, the same in each run.
        keras.utils.set_random_seed(derive_seed(self._assignment.seed, "worker", self._number))
        steps = Steps(
            self._assignment.spec, self._assignment.row_format, self._assignment.metric_rules
        )
        if self._number:
            draw_random_states(steps.model)
        if steps.layout != self._assignment.layout:
            raise WorkerError(
                "the weights of the worker's model differ from the driver's in number or shape. "
                "Install the same versions of keras and glasses_spark on driver and executors"
            )
        return steps

    def _train_by_batch(self, epoch: int, step: int, weights: Vector) -> Vector:
        states, last = self._steps.states, self._schedule.steps(self._number) - 1
        self._require_whole_epoch(step)
        states.begin()
        for number, (x, y, weight) in enumerate(self._batches(epoch, first=step), start=step):
            update, state = self._steps.gradient(weights, x, y, weight)
            state = states.of_push(state, last=number == last)
            weights = self._push(epoch, number, len(weight), update, state)
        return weights

    def _train_by_epoch(self, epoch: int, step: int, weights: Vector) -> Vector:
        self._steps.write(weights)
        self._steps.prepare_to_train()
        states = self._steps.states
        states.begin()
        state = np.zeros(states.size)
        for x, y, weight in self._batches(epoch):
            state = states.add(state, self._steps.train(x, y, weight))
        after = self._steps.read()
        # Workers push trainable weights as a delta, and statistics as they are.
        cut = self._assignment.layout.trainable_size
        update = np.concatenate([weights[:cut] - after[:cut], after[cut:]])
        return self._push(epoch, step, len(self._training), update, state)

    def _send_optimizer_state(self) -> None:
        vectors = pack(self._steps.optimizer_state(), self._assignment.layout)
        for part, vector in enumerate(vectors):
            self._client.send_optimizer_state(part, vector)

    def _pull(self, epoch: int, step: int) -> Vector:
        return self._wait_for(lambda: self._client.pull(epoch, step))

    def _push(self, epoch: int, step: int, rows: int, update: Vector, state: Vector) -> Vector:
        return self._wait_for(
            lambda: self._client.push(epoch, step, rows=rows, update=update, metric_state=state)
        )

    def _validate(self, weights: Vector) -> Vector:
        states = self._steps.states
        state = np.zeros(states.size)
        rows = len(self._validation)
        if rows:
            self._steps.write(weights)
            states.begin()
            for x, y, weight in self._validation.batches(
                np.arange(rows), self._schedule.batch_size
            ):
                state = states.add(state, self._steps.evaluate(x, y, weight))
        return state

    def _batches(self, epoch: int, *, first: int = 0) -> Iterator[Batch]:
        order = epoch_order(
            len(self._training), seed=self._assignment.seed, worker=self._number, epoch=epoch
        )
        return self._training.batches(order, self._schedule.batch_size, first=first)

    def _wait_for(self, call: Callable[[], Vector]) -> Vector:
        began = time.monotonic()
        try:
            return call()
        finally:
            self._waiting += time.monotonic() - began

    def _set_learning_rate(self, value: Any) -> None:
        if value is not None:
            rate_variable(self._steps.model.optimizer).assign(float(value))

    def _require_whole_epoch(self, step: int) -> None:
        names = ", ".join(map(repr, self._assignment.metric_rules.carried))
        if step and names:
            raise WorkerError(
                f"the worker was restarted at step {step} of an epoch, and the state of the metric "
                f"{names} up to there is lost. Fit again, or remove the metric"
            )

    def _require_rows(self, kind: str, spool: Spool, shares: tuple[int, ...]) -> None:
        if len(spool) != shares[self._number]:
            raise WorkerError(
                f"worker {self._number}: expected {shares[self._number]} {kind} rows, got "
                f"{len(spool)}. The input returned other rows when Spark read it again. Make it "
                "deterministic, or write it to Parquet before the fit"
            )
