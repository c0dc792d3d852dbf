"""Coordination of a fit, wherever the coordinator lives: in the driver, or in a task.

In a classic session it lives in the driver, in the user's process. Under Spark Connect that
process is a client that no executor may reach, so the coordinator lives in the first task.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from glasses_spark.config.interval import parse_interval
from glasses_spark.config.training import BATCH, EPOCH
from glasses_spark.training.callbacks import CallbackRunner
from glasses_spark.training.checkpoint.checkpointer import Checkpointer
from glasses_spark.training.checkpoint.fingerprint import Fingerprint
from glasses_spark.training.checkpoint.folder import CheckpointFolder
from glasses_spark.training.fit_progress import FitProgress
from glasses_spark.training.history import EpochRecord
from glasses_spark.training.metric_states import MetricRules, MetricStates
from glasses_spark.training.model_spec import ModelSpec
from glasses_spark.training.optimizers import OptimizerState
from glasses_spark.training.rows import LabelCode
from glasses_spark.training.schedule import Schedule
from glasses_spark.training.server.asynchronous_rules import rule_of
from glasses_spark.training.server.certificates import Credentials
from glasses_spark.training.server.coordinator import Coordinator
from glasses_spark.training.server.parameter_client import ServerAddress
from glasses_spark.training.server.parameter_server import ParameterServer
from glasses_spark.training.server.shared_weights import SharedWeights
from glasses_spark.training.settings import FitSettings
from glasses_spark.training.spark_job import TrainingTasks, follow_job, require_all_rows
from glasses_spark.training.weights import WeightLayout
from glasses_spark.training.worker.assignment import Assignment
from glasses_spark.training.worker.kept_steps import steps_key
from glasses_spark.training.worker.spool import RowFormat

# Four heartbeats may be lost before a worker counts as silent.
HEARTBEATS_PER_STALL: Final = 5
LONGEST_HEARTBEAT_S: Final = 5.0

# Deadline of a call: the time that the server may make a worker wait, and the transfer
# of the weights over a slow network.
CALL_DEADLINE_S: Final = 60.0
SLOWEST_BYTES_PER_S: Final = 1e6


@dataclass(frozen=True)
class FitPlan:
    """What decides a fit, beside its rows and the weights that it starts from.

    Attributes:
        spec: Specification of the model.
        settings: Settings of the fit.
        schedule: Steps and rows of each worker.
        layout: Layout of the weights' vector.
        row_format: Format of a row.
        label_codes: Encoding of the labels of each output.
        metric_rules: How the states of the metrics are computed.
        fingerprint: What checkpoints of the fit belong to.
        keeps_steps: Whether the next fit may use the traced steps of this one.
    """

    spec: ModelSpec
    settings: FitSettings
    schedule: Schedule
    layout: WeightLayout
    row_format: RowFormat
    label_codes: tuple[LabelCode, ...]
    metric_rules: MetricRules
    fingerprint: Fingerprint
    keeps_steps: bool = False

    def assignment(
        self, address: ServerAddress, *, tasks: int, threads: int, precision: str
    ) -> Assignment:
        """Return the settings that every task receives."""
        # The optimizers of the workers are used with frequency="epoch" alone.
        uses_server = self.schedule.frequency == BATCH
        state = OptimizerState() if uses_server else self.spec.optimizer_state
        spec = replace(self.spec, precision=precision, optimizer_state=state)
        key = steps_key(spec, self.row_format, self.metric_rules) if self.keeps_steps else ""
        return Assignment(
            spec=spec,
            layout=self.layout,
            schedule=self.schedule,
            row_format=self.row_format,
            label_codes=self.label_codes,
            address=address,
            seed=self.settings.seed,
            tasks=tasks,
            threads=threads,
            metric_rules=self.metric_rules,
            keeps_optimizers=bool(self.settings.checkpoint_dir)
            and self.schedule.frequency == EPOCH,
            steps_key=key,
        )

    def address(self, host: str, port: int, credentials: Credentials) -> ServerAddress:
        """Return the address of the server, with the deadlines of calls.

        Args:
            host: Name or address at which tasks reach the server.
            port: Port of the server.
            credentials: Credentials of the workers.
        """
        return ServerAddress(
            host=host,
            port=port,
            credentials=credentials,
            deadline=CALL_DEADLINE_S + self.layout.nbytes / SLOWEST_BYTES_PER_S,
            heartbeat=min(LONGEST_HEARTBEAT_S, self.settings.stall_timeout / HEARTBEATS_PER_STALL),
        )

    def threads_at_once(self, tasks: int) -> int:
        """Return the number of tasks among which a machine's cores are divided."""
        # TensorFlow's sums depend on the number of threads, and the weights of synchronous
        # workers must not depend on the number of tasks.
        return self.schedule.workers if self.schedule.synchronous else tasks


class CoordinatorHost(Protocol):
    """The process in which the coordinator lives."""

    def addresses(self) -> tuple[str, str]:
        """Return the host at which tasks reach the server, and the address it binds."""

    def credentials(self) -> tuple[Credentials, Credentials]:
        """Return the credentials of the server and of its workers."""

    def checkpoints(self) -> CheckpointFolder | None:
        """Return the folder of the checkpoints; None if there is none."""

    def count_tasks(self, workers: int) -> int:
        """Return the number of tasks for some workers."""

    def precision(self) -> str:
        """Return the number format in which all workers compute."""

    def threads(self, at_once: int) -> int:
        """Return the number of threads of a task, if so many run at the same time."""

    def tasks(self, assignment: Assignment) -> TrainingTasks:
        """Return the tasks of the fit."""


def coordinate(
    model: Any,
    callbacks: Sequence[Any],
    states: MetricStates,
    plan: FitPlan,
    host: CoordinatorHost,
) -> list[EpochRecord]:
    """Serve the workers of a fit until its end.

    Args:
        model: Compiled Keras model. The fit starts from its weights and replaces them by the
            trained ones.
        callbacks: Keras callbacks, run here after each epoch.
        states: Computes the metrics of an epoch.
        plan: The fit.
        host: This process.

    Returns:
        One record for each epoch.

    Raises:
        WorkerError: A worker failed, was lost, or trained on other rows than its own.
    """
    settings, schedule = plan.settings, plan.schedule
    shared_weights = SharedWeights(
        model,
        workers=schedule.workers,
        uses_gradients=schedule.frequency == BATCH,
        rule=rule_of(
            settings, schedule.workers, size=plan.layout.trainable_size, dtype=plan.layout.dtype
        ),
    )
    coordinator = Coordinator(
        schedule,
        shared_weights,
        state_size=states.size,
        carried_metrics=bool(plan.metric_rules.carried),
        stall_timeout=settings.stall_timeout,
    )
    server_end, worker_end = host.credentials()
    address, bind_address = host.addresses()
    server = ParameterServer(
        coordinator,
        server_end,
        bind_address=bind_address,
        port=settings.port,
        shared_memory=settings.shared_memory,
    )
    runner = CallbackRunner(model, callbacks, coordinator)
    checkpointer = Checkpointer(
        host.checkpoints(),
        plan.fingerprint,
        coordinator,
        runner,
        parse_interval(settings.checkpoint_every),
    )
    with server:
        tasks = host.count_tasks(schedule.workers)
        assignment = plan.assignment(
            plan.address(address, server.port, worker_end),
            tasks=tasks,
            threads=host.threads(plan.threads_at_once(tasks)),
            precision=host.precision(),
        )
        progress = FitProgress(schedule, settings.verbose)
        with closing(progress), closing(host.tasks(assignment)) as hosting, checkpointer:
            history = follow_job(coordinator, runner, states, hosting, progress, checkpointer)
    runner.end(history)
    require_all_rows(history, schedule)
    return history
