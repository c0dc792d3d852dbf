"""Task: one Spark task that trains its workers in turn, from their rows in Arrow to the end."""

from __future__ import annotations

import os
import socket
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final

from glasses_spark.errors import WorkerError
from glasses_spark.runtime.causes import describe
from glasses_spark.runtime.machine import spark_local_folder
from glasses_spark.training.rows import KEY, VALIDATION, WORKER, records
from glasses_spark.training.server.calls import Position
from glasses_spark.training.server.parameter_client import ParameterClient
from glasses_spark.training.server.protocol import CallEndedError
from glasses_spark.training.worker.assignment import Assignment
from glasses_spark.training.worker.shared_spec import NO_MODEL, SharedSpec
from glasses_spark.training.worker.task_training import TaskTraining
from glasses_spark.training.worker.texts import Texts
from glasses_spark.training.worker.worker import Worker

# Note of an error after which the coordinator ends the fit: it knows the workers.
JOINED: Final = "The workers of the task had joined the fit."

# Result of a task: one row for each worker.
REPORT_SCHEMA: Final = "worker int, rows bigint, host string"


def training_task(
    assignment: Assignment, shared_spec: SharedSpec
) -> Callable[[Iterable[Any]], Iterable[Any]]:
    """Make the function that Spark runs on each partition of rows.

    Args:
        assignment: Settings of the fit; the specification of the model is left out.
        shared_spec: The specification.

    Returns:
        A function for ``DataFrame.mapInArrow``. It takes the rows of the task's workers
        and, after the last epoch, yields one row of `REPORT_SCHEMA` for each worker.
    """
    return partial(_run, replace(assignment, spec=NO_MODEL), shared_spec)


# Not within `training_task`, see runtime/kernel_cache.py.
def _run(
    without_spec: Assignment, shared_spec: SharedSpec, batches: Iterable[Any]
) -> Iterator[Any]:
    import pyarrow as pa
    from pyspark import TaskContext

    context = TaskContext.get()
    if context is None:
        raise WorkerError("a training task runs only in a Spark task")
    # Unique among all attempts of all tasks, and increasing with time.
    attempt = context.taskAttemptId()
    assignment = replace(without_spec, spec=shared_spec.read())
    rows = train(assignment, context.partitionId(), attempt, batches)
    host = socket.gethostname()
    yield pa.RecordBatch.from_pydict(
        {
            "worker": pa.array(list(rows), pa.int32()),
            "rows": pa.array(list(rows.values()), pa.int64()),
            "host": pa.array([host] * len(rows), pa.string()),
        }
    )


def train(
    assignment: Assignment, task: int, attempt: int, batches: Iterable[Any]
) -> dict[int, int]:
    """Train the workers that a task hosts.

    Args:
        assignment: Settings of the fit.
        task: Number of this task, from 0.
        attempt: Number of this attempt; the highest one counts.
        batches: Arrow record batches with the columns of `rows`.

    Returns:
        Number of training rows by number of the worker.

    Raises:
        WorkerError: The server cannot be reached or has refused a call.
    """
    numbers = assignment.hosted_by(task)
    host = f"{socket.gethostname()}, process {os.getpid()}"
    with ExitStack() as stack:
        client = stack.enter_context(
            ParameterClient(
                assignment.address,
                assignment.layout,
                workers=numbers,
                attempt=attempt,
                host=host,
            )
        )
        start = client.join()
        try:
            folder = spark_local_folder()
            texts = stack.enter_context(Texts(folder))
            workers = [
                stack.enter_context(Worker(assignment, number, folder, texts)) for number in numbers
            ]
            _write_rows(assignment, batches, texts, workers)
            busy = [each for each in workers if assignment.schedule.takes_part(each.number)]
            for worker, state in zip(workers, start.header["workers"], strict=True):
                worker.position = Position(state["epoch"], state["step"])
                worker.random_states = state["random"]
                worker.metric_state = state.get("metrics")
            if busy:
                TaskTraining(assignment, busy, client).run(start)
        except CallEndedError:
            raise  # the driver has ended the fit
        except Exception as error:
            _report(client, error)
            error.add_note(JOINED)
            raise
        return {worker.number: worker.rows for worker in workers}


def _write_rows(
    assignment: Assignment, batches: Iterable[Any], texts: Texts, workers: Sequence[Worker]
) -> None:
    for batch in batches:
        rows = records(batch, assignment.row_format, assignment.label_codes, texts)
        keys = batch.column(KEY).to_numpy()
        is_validation = batch.column(VALIDATION).to_numpy(zero_copy_only=False)
        numbers = batch.column(WORKER).to_numpy()
        for worker in workers:
            own = numbers == worker.number
            worker.append(rows[own], keys[own], is_validation[own])
    texts.close_for_reading()
    for worker in workers:
        worker.close_for_reading()


def _report(client: ParameterClient, error: Exception) -> None:
    # Spark reports the error as well, also if the driver no longer responds.
    with suppress(WorkerError):
        client.fail(describe(error), traceback.format_exc())
