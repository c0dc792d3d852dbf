"""A fit without Spark: real tasks in threads, and a real parameter server."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from itertools import chain
from typing import Any

from glasses_spark.runtime.keras_archive import pack_model
from glasses_spark.runtime.machine import LOOPBACK
from glasses_spark.training.history import EpochTotals
from glasses_spark.training.metric_states import DEFAULT_RULES, MetricRules, MetricStates
from glasses_spark.training.rows import LabelCode
from glasses_spark.training.schedule import Schedule, share
from glasses_spark.training.server.asynchronous_rules import rule_of, update_rows
from glasses_spark.training.server.calls import EpochDecision
from glasses_spark.training.server.certificates import make_credentials
from glasses_spark.training.server.coordinator import Coordinator
from glasses_spark.training.server.parameter_client import ServerAddress
from glasses_spark.training.server.parameter_server import ParameterServer
from glasses_spark.training.server.shared_weights import SharedWeights
from glasses_spark.training.settings import FitSettings
from glasses_spark.training.weights import layout_of
from glasses_spark.training.worker.assignment import Assignment
from glasses_spark.training.worker.task import train
from tests.training.tiny import arrow_rows, row_format, row_ranges, spec_of

SEED = 5

OPTIMIZERS: dict[str, dict[str, Any]] = {
    "sgd": {"class_name": "SGD", "config": {"learning_rate": 0.1}},
    "momentum": {
        "class_name": "SGD",
        "config": {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True},
    },
    "adam": {"class_name": "Adam", "config": {"learning_rate": 0.02}},
    "rmsprop": {"class_name": "RMSprop", "config": {"learning_rate": 0.01}},
    # These use whole tensors, so they cannot work on the model as one vector.
    "clipnorm": {"class_name": "Adam", "config": {"learning_rate": 0.02, "clipnorm": 0.05}},
    "adafactor": {"class_name": "Adafactor", "config": {"learning_rate": 0.02}},
    "average": {
        "class_name": "Nadam",
        "config": {"learning_rate": 0.02, "use_ema": True, "gradient_accumulation_steps": 2},
    },
}


def fit(
    model: Any,
    x: Any,
    y: Any,
    *,
    workers: int,
    tasks: int | None = None,
    mode: str = "synchronous",
    frequency: str = "batch",
    epochs: int = 3,
    batch_size: int = 4,
    shares: tuple[int, ...] | None = None,
    weights: Any = None,
    validation: tuple[Any, ...] = (),
    metric_rules: MetricRules = DEFAULT_RULES,
    labels: int = 1,
    archive: bool = False,
    replaced: bool = False,
) -> tuple[list[EpochTotals], MetricStates]:
    """Fit a model in place.

    Args:
        model: Compiled Keras model, with the trained weights afterwards.
        x: Features ``(rows, feature_size)``.
        y: Labels ``(rows, label_size)``.
        workers: Count of workers.
        tasks: Count of tasks that host them; by default one for each worker.
        mode: See `Schedule`.
        frequency: See `Schedule`.
        epochs: Passes over the rows.
        batch_size: Rows in one step of one worker.
        shares: Rows of each worker; equal shares by default.
        weights: Weights of the rows, ``(rows,)``.
        validation: Features, labels and, optionally, weights of validation rows, which the
            first worker gets.
        metric_rules: See `Assignment`.
        labels: Numbers in a label.
        replaced: Whether a second attempt replaces each task after the first push.
        archive: Whether workers build the model from an archive, with its random states.

    Returns:
        Totals of each epoch, and the metrics that the states in them belong to.
    """
    rows = shares or share(len(x), workers)
    validation_rows = (len(validation[0]) if validation else 0, *(0,) * (workers - 1))
    settings = FitSettings(mode=mode, frequency=frequency, batch_size=batch_size)
    schedule = Schedule(
        mode,
        frequency,
        epochs,
        batch_size,
        rows,
        validation_rows,
        update_rows=update_rows(settings, workers),
    )
    form = row_format(features=x.shape[1], feature_dtype=str(x.dtype), labels=labels)
    states = MetricStates(model, form, metric_rules)
    layout = layout_of(model)
    shared_weights = SharedWeights(
        model,
        workers=workers,
        uses_gradients=frequency == "batch",
        rule=rule_of(settings, workers, size=layout.trainable_size, dtype=layout.dtype),
    )
    coordinator = Coordinator(
        schedule,
        shared_weights,
        state_size=states.size,
        carried_metrics=bool(metric_rules.carried),
        stall_timeout=60,
    )
    server_credentials, worker_credentials = make_credentials()
    with (
        ParameterServer(coordinator, server_credentials) as server,
        ThreadPoolExecutor(2 * workers) as pool,
    ):
        assignment = Assignment(
            spec=replace(spec_of(model), archive=pack_model(model) if archive else None),
            layout=shared_weights.layout,
            schedule=schedule,
            row_format=form,
            label_codes=(LabelCode(None, labels),),
            address=ServerAddress(LOOPBACK, server.port, worker_credentials, 30.0, 5.0),
            seed=SEED,
            tasks=tasks or workers,
            threads=1,
            metric_rules=metric_rules,
        )
        slices = [slice(part.start, part.stop) for part in row_ranges(rows)]
        batches = [
            [
                arrow_rows(
                    x[part], y[part], None if weights is None else weights[part], worker=worker
                )
            ]
            if len(x[part])
            else []
            for worker, part in enumerate(slices)
        ]
        if validation:
            batches[0].append(arrow_rows(*validation, validation=True))

        def start(attempt: int) -> list[Future[dict[int, int]]]:
            return [
                pool.submit(
                    train,
                    assignment,
                    task,
                    attempt,
                    chain.from_iterable(batches[worker] for worker in assignment.hosted_by(task)),
                )
                for task in range(assignment.tasks)
            ]

        def replace_once() -> None:
            if replaced and len(attempts) == 1 and coordinator.progress():
                attempts.append(start(1))

        attempts = [start(0)]
        totals: list[EpochTotals] = []
        try:
            while epoch_totals := coordinator.next_epoch(
                running=lambda: not all(task.done() for task in attempts[-1]),
                poll=0.01,
                on_poll=replace_once,
            ):
                totals.append(epoch_totals)
                last = epoch_totals.epoch == epochs - 1
                coordinator.proceed(EpochDecision(stop=last, learning_rate=None))
        except Exception as error:
            coordinator.fail(error)
            raise
        for task in attempts[-1]:
            task.result()
    coordinator.refresh()
    coordinator.write_to_model()
    shared_weights.finish()
    return totals, states
