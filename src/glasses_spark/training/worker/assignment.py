"""Assignment: the settings of a fit that every task receives."""

from __future__ import annotations

from dataclasses import dataclass

from glasses_spark.training.metric_states import DEFAULT_RULES, MetricRules
from glasses_spark.training.model_spec import ModelSpec
from glasses_spark.training.rows import LabelCode
from glasses_spark.training.schedule import Schedule, hosted_workers
from glasses_spark.training.server.parameter_client import ServerAddress
from glasses_spark.training.weights import WeightLayout
from glasses_spark.training.worker.spool import RowFormat


@dataclass(frozen=True)
class Assignment:
    """Settings that all tasks of a fit receive.

    Attributes:
        spec: Specification of the model.
        layout: Layout of its weights' vector.
        schedule: Steps and rows of each worker.
        row_format: Format of a row.
        label_codes: Encoding of the labels of each output.
        address: Address of the parameter server.
        seed: Seed of the run.
        tasks: Number of tasks that host the workers, at most the number of workers.
        threads: Number of threads on which a task computes, at least 1.
        metric_rules: How the states of the metrics are computed.
        keeps_optimizers: Whether the server gets the state of each worker's own optimizer after
            each epoch, for checkpoints and restarted tasks.
        steps_key: What the traced steps depend on, for fits of a grid, see `kept_steps`; empty
            keeps no steps.
    """

    spec: ModelSpec
    layout: WeightLayout
    schedule: Schedule
    row_format: RowFormat
    label_codes: tuple[LabelCode, ...]
    address: ServerAddress
    seed: int
    tasks: int
    threads: int
    metric_rules: MetricRules = DEFAULT_RULES
    keeps_optimizers: bool = False
    steps_key: str = ""

    def hosted_by(self, task: int) -> range:
        """Return the numbers of the workers that a task hosts."""
        return hosted_workers(task, tasks=self.tasks, workers=self.schedule.workers)
