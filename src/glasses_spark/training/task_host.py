"""Task host: the first task of a fit, in which the coordinator lives under Spark Connect.

All tasks run at once, in a barrier stage. The first one serves the weights and trains its own
workers in a thread, the others get its address over the barrier. Its rows are the result.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Self

from glasses_spark.errors import WorkerError
from glasses_spark.runtime.connect_worker import ProcessSettings
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.keras_archive import set_weights
from glasses_spark.runtime.machine import LOOPBACK
from glasses_spark.seeds import derive_seed
from glasses_spark.training.callbacks import make_callbacks
from glasses_spark.training.checkpoint.folder import CheckpointFolder
from glasses_spark.training.coordination import FitPlan, coordinate
from glasses_spark.training.fit_result import FitResult
from glasses_spark.training.metric_states import MetricRules, MetricStates
from glasses_spark.training.model_checks import build_seeded
from glasses_spark.training.server.certificates import Credentials
from glasses_spark.training.server.coordinator import Coordinator
from glasses_spark.training.server.protocol import CallEndedError
from glasses_spark.training.server.state import FitEndedError
from glasses_spark.training.worker.assignment import Assignment
from glasses_spark.training.worker.task import JOINED, train

# The server listens on all interfaces if tasks run on several machines.
ALL_INTERFACES: Final = "0.0.0.0"


@dataclass(frozen=True)
class TaskPlan:
    """What every task of a fit gets from the client.

    Attributes:
        fit: The fit.
        weights: Weights that it starts from, as ``model.get_weights()`` returns them.
        metric_rules: Which rows have weights, for the metrics of an epoch.
        tasks: Number of tasks, at most the number of workers.
        precision: Number format in which the workers compute.
        process: Settings of the processes.
        server: Credentials of the server.
        worker: Credentials of the workers.
    """

    fit: FitPlan
    weights: Sequence[Any]
    metric_rules: MetricRules
    tasks: int
    precision: str
    process: ProcessSettings
    server: Credentials = field(repr=False)
    worker: Credentials = field(repr=False)


def hosted_fit(plan: TaskPlan) -> Callable[[Iterable[Any]], Iterator[Any]]:
    """Make the function that Spark runs on each partition of rows, in a barrier stage.

    Returns:
        A function for ``DataFrame.mapInArrow``. The first partition yields the rows of a
        `FitResult`, the others none.
    """
    return partial(_run, plan)


# Not within `hosted_fit`, see runtime/kernel_cache.py.
def _run(plan: TaskPlan, batches: Iterable[Any]) -> Iterator[Any]:
    from pyspark import BarrierTaskContext

    context = BarrierTaskContext.get()
    plan.process.apply()
    threads = plan.process.threads
    # Before anything computes in this process.
    import_keras(threads=threads)
    if context.partitionId():
        _train_elsewhere(plan, context, threads, batches)
    else:
        yield from _host(plan, context, threads, batches).rows()


def addresses_of(tasks: Sequence[Any]) -> tuple[str, str]:
    """Return the host at which tasks reach the first one, and the address that it binds.

    Args:
        tasks: Spark's information on each task of the stage, in their order.
    """
    hosts = [task.address.rpartition(":")[0] for task in tasks]
    return (LOOPBACK, LOOPBACK) if len(set(hosts)) == 1 else (hosts[0], ALL_INTERFACES)


def _train_elsewhere(plan: TaskPlan, context: Any, threads: int, batches: Iterable[Any]) -> None:
    host, port = json.loads(context.allGather("")[0])
    if not port:
        return  # the first task has failed, and reports why
    assignment = plan.fit.assignment(
        plan.fit.address(host, port, plan.worker),
        tasks=plan.tasks,
        threads=threads,
        precision=plan.precision,
    )
    try:
        train(assignment, context.partitionId(), context.taskAttemptId(), batches)
    except Exception as error:
        # The first task knows, and ends the fit.
        if isinstance(error, CallEndedError) or JOINED in getattr(error, "__notes__", ()):
            return
        raise
    context.barrier()


def _host(plan: TaskPlan, context: Any, threads: int, batches: Iterable[Any]) -> FitResult:
    host = _TaskHost(plan, context, threads, batches)
    try:
        model = build_seeded(plan.fit.spec, derive_seed(plan.fit.settings.seed, "weights"))
        set_weights(model, plan.weights)
        states = MetricStates(model, plan.fit.row_format, plan.metric_rules)
        history = coordinate(model, make_callbacks(plan.fit.settings), states, plan.fit, host)
    except Exception as error:
        # Not raised: Spark would repeat the stage, and bury the error in a stack trace.
        host.release()
        return FitResult.of_error(error)
    return FitResult.of(model, history)


class _TaskHost:
    """The first task as the host of the coordinator; see `coordination.CoordinatorHost`.

    Attributes:
        trained: Set once the own workers have ended, whatever happened to them.
    """

    def __init__(self, plan: TaskPlan, context: Any, threads: int, batches: Iterable[Any]) -> None:
        self._plan = plan
        self._context = context
        self._threads = threads
        self._batches = batches
        self._released = False
        self.trained = threading.Event()

    def addresses(self) -> tuple[str, str]:
        return addresses_of(self._context.getTaskInfos())

    def credentials(self) -> tuple[Credentials, Credentials]:
        return self._plan.server, self._plan.worker

    def checkpoints(self) -> CheckpointFolder | None:
        return None

    def count_tasks(self, workers: int) -> int:
        return self._plan.tasks

    def precision(self) -> str:
        return self._plan.precision

    def threads(self, at_once: int) -> int:
        return self._threads

    def tasks(self, assignment: Assignment) -> _BarrierTasks:
        return _BarrierTasks(self, assignment)

    def train(self, assignment: Assignment) -> None:
        """Send the address to the other tasks, train the own workers, and wait for the others."""
        try:
            self.release(assignment.address.host, assignment.address.port)
            train(assignment, 0, self._context.taskAttemptId(), self._batches)
        finally:
            self.trained.set()
        self._context.barrier()

    def release(self, host: str = "", port: int = 0) -> None:
        """Release the other tasks, with the address of the server or without one."""
        if not self._released:
            self._released = True
            self._context.allGather(json.dumps([host, port]))


class _BarrierTasks:
    """All tasks of the barrier stage, this one included; see `spark_job.TrainingTasks`."""

    # Spark itself repeats the whole stage, and so the fit, if a process is lost.
    can_restart = False

    def __init__(self, host: _TaskHost, assignment: Assignment) -> None:
        self._host = host
        self._assignment = assignment

    def job(self, coordinator: Coordinator) -> _OwnTraining:
        return _OwnTraining(self._host, self._assignment, coordinator)

    def count_slots(self) -> None:
        return None

    def have_slots(self) -> bool:
        return True

    def close(self) -> None:
        return None


class _OwnTraining:
    """The training of this task's workers, in a thread; see `spark_job.RunningTasks`."""

    def __init__(self, host: _TaskHost, assignment: Assignment, coordinator: Coordinator) -> None:
        self._host = host
        self._coordinator = coordinator
        self._error: Exception | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(
            target=self._run, args=(assignment,), name="fit", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if not self._ended.is_set():
            self.cancel()

    def cancel(self) -> None:
        """Release the waiting workers; the fit is over."""
        self._coordinator.fail(FitEndedError("the fit has ended"))
        # The thread reads this task's rows, which must not outlast the task. It is not joined:
        # it may wait at the barrier for a task that is lost.
        self._host.trained.wait()

    def running(self) -> bool:
        return not self._ended.is_set()

    @property
    def error(self) -> WorkerError | None:
        error = self._error
        if error is None or isinstance(error, WorkerError):
            return error
        return WorkerError(f"the training failed: {type(error).__name__}: {error}")

    def _run(self, assignment: Assignment) -> None:
        try:
            self._host.train(assignment)
        except CallEndedError:
            pass  # the coordinator has ended the fit, and knows why
        except Exception as error:
            self._error = error
        finally:
            self._ended.set()
            self._coordinator.wake()
