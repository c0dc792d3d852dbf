"""Trainer: the driver's side of a fit, from a DataFrame to trained weights."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, Final

import numpy as np
from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql.types import NumericType

from glasses_spark.columns import FEATURES
from glasses_spark.config.interval import parse_interval
from glasses_spark.config.training import BATCH, EPOCH
from glasses_spark.errors import TrainingError
from glasses_spark.runtime.driver_address import driver_addresses
from glasses_spark.runtime.task_slots import count_workers, task_slots
from glasses_spark.runtime.workers import worker_threads
from glasses_spark.scoring.model_ports import InputPort, input_ports, output_names
from glasses_spark.training.callback_checks import (
    require_epoch_callbacks,
    require_validation_callbacks,
)
from glasses_spark.training.callbacks import CallbackRunner, make_callbacks
from glasses_spark.training.checkpoint.checkpointer import Checkpointer
from glasses_spark.training.checkpoint.fingerprint import Fingerprint, fingerprint_of
from glasses_spark.training.checkpoint.folder import CheckpointFolder
from glasses_spark.training.fit_progress import FitProgress
from glasses_spark.training.history import EpochRecord
from glasses_spark.training.hosting import Hosting
from glasses_spark.training.metric_rules import metric_rules
from glasses_spark.training.metric_states import MetricRules, MetricStates
from glasses_spark.training.model_spec import ModelSpec
from glasses_spark.training.optimizer_checks import require_supported_optimizer
from glasses_spark.training.optimizers import OptimizerState, first_line
from glasses_spark.training.output_settings import is_sparse, label_size, losses_by_output
from glasses_spark.training.partition import Partitioned, count_buckets, partition
from glasses_spark.training.precision import resolve_precision
from glasses_spark.training.rows import VALIDATION, LabelCode, label_dtype, label_length
from glasses_spark.training.schedule import Schedule
from glasses_spark.training.server.asynchronous_rules import rule_of, update_rows
from glasses_spark.training.server.certificates import make_credentials
from glasses_spark.training.server.coordinator import Coordinator
from glasses_spark.training.server.parameter_client import ServerAddress
from glasses_spark.training.server.parameter_server import ParameterServer
from glasses_spark.training.server.shared_weights import SharedWeights
from glasses_spark.training.settings import Columns, FitSettings
from glasses_spark.training.spark_job import follow_job, require_all_rows
from glasses_spark.training.training_frame import training_frame
from glasses_spark.training.valid_rows import valid_rows
from glasses_spark.training.weights import layout_of
from glasses_spark.training.worker.assignment import Assignment
from glasses_spark.training.worker.spool import RowField, RowFormat

logger = logging.getLogger(__name__)

# Four heartbeats may be lost before a worker counts as silent.
HEARTBEATS_PER_STALL: Final = 5
LONGEST_HEARTBEAT_S: Final = 5.0

# Deadline of a call: the time that the server may make a worker wait, and the transfer
# of the weights over a slow network.
CALL_DEADLINE_S: Final = 60.0
SLOWEST_BYTES_PER_S: Final = 1e6


class Trainer:
    """Fits one Keras model on one DataFrame.

    Args:
        model: Compiled Keras model in the driver. The fit starts from its weights and
            replaces them by the trained ones.
        spec: Specification of the same model, for the workers.
        settings: Settings of the fit.
        callbacks: Keras callbacks, run in the driver before those of the settings.

    Raises:
        TrainingError: The optimizer or a callback is not supported, or the model has no
            trainable weights.
    """

    def __init__(
        self,
        model: Any,
        spec: ModelSpec,
        settings: FitSettings,
        callbacks: Sequence[Any] = (),
    ) -> None:
        if not model.trainable_weights:
            raise TrainingError(
                "expected a model with trainable weights, got one whose layers are all frozen"
            )
        require_supported_optimizer(model, settings.frequency)
        require_epoch_callbacks(callbacks)
        self._model = model
        self._spec = spec
        self._settings = settings
        self._callbacks = [*callbacks, *make_callbacks(settings)]

    def fit(self, frame: DataFrame, columns: Columns) -> list[EpochRecord]:
        """Train the model.

        Args:
            frame: Rows. They are read once, and persisted on the executors until the fit
                ends.
            columns: Columns of the frame to use.

        Returns:
            One record for each epoch.

        Raises:
            TrainingError: The rows do not fit the model, there are no training rows, or
                early stopping has no validation rows.
            WorkerError: A worker failed, was lost, or trained on other rows than its own.
        """
        workers = count_workers(self._settings.num_workers, slots=task_slots(frame.sparkSession))
        if self._settings.validation_split or columns.validation:
            require_validation_callbacks(self._callbacks)
        ports = input_ports(self._spec.config)
        if columns.skip_invalid:
            frame = valid_rows(frame, columns, ports)
        is_float64 = any(str(port.dtype) == "float64" for port in self._model.inputs)
        dtype = "float64" if is_float64 else "float32"
        rows, feature_dtypes = training_frame(frame, columns, self._settings, ports, dtype=dtype)
        codes = self._label_codes(frame, columns)
        row_format = RowFormat(
            features=self._feature_fields(ports, feature_dtypes),
            labels=self._label_fields(frame, columns, codes, dtype),
            dtype=dtype,
        )
        has_weights = MetricRules(
            weighted=bool(columns.weight or self._settings.class_weight),
            validation_weighted=bool(columns.weight),
        )
        states = self._states(row_format, has_weights)
        rules = metric_rules(states, workers=workers)
        rows.persist(StorageLevel.MEMORY_AND_DISK)
        try:
            buckets = count_buckets(rows)
            if all(bucket[VALIDATION] for bucket in buckets):
                raise TrainingError(
                    "expected rows to train on, got none. Check the split and the filters that "
                    "select the rows"
                )
            if not any(bucket[VALIDATION] for bucket in buckets):
                self._require_no_validation()
            partitioned = partition(rows, buckets, workers)
            fingerprint = fingerprint_of(
                self._spec, self._settings, workers=workers, buckets=buckets
            )
            return self._run(partitioned, row_format, codes, states, rules, fingerprint)
        finally:
            rows.unpersist()

    def _run(
        self,
        partitioned: Partitioned,
        row_format: RowFormat,
        codes: tuple[LabelCode, ...],
        states: MetricStates,
        rules: MetricRules,
        fingerprint: Fingerprint,
    ) -> list[EpochRecord]:
        spark = partitioned.frame.sparkSession
        schedule, layout = self._schedule(partitioned), layout_of(self._model)
        shared_weights = SharedWeights(
            self._model,
            workers=schedule.workers,
            uses_gradients=schedule.frequency == BATCH,
            rule=rule_of(
                self._settings,
                schedule.workers,
                size=layout.trainable_size,
                dtype=layout.dtype,
            ),
        )
        coordinator = Coordinator(
            schedule,
            shared_weights,
            state_size=states.size,
            carried_metrics=bool(rules.carried),
            stall_timeout=self._settings.stall_timeout,
        )
        server_end, worker_end = make_credentials()
        host, bind_address = driver_addresses(spark.sparkContext.getConf().get)
        server = ParameterServer(
            coordinator,
            server_end,
            bind_address=bind_address,
            port=self._settings.port,
            shared_memory=self._settings.shared_memory,
        )
        runner = CallbackRunner(self._model, self._callbacks, coordinator)
        location = self._settings.checkpoint_dir
        checkpointer = Checkpointer(
            CheckpointFolder(spark, location) if location else None,
            fingerprint,
            coordinator,
            runner,
            parse_interval(self._settings.checkpoint_every),
        )
        with server:
            tasks = min(schedule.workers, task_slots(spark))
            precision = resolve_precision(spark, self._settings.precision)
            assignment = Assignment(
                spec=replace(self._spec, precision=precision, optimizer_state=self._worker_state()),
                layout=shared_weights.layout,
                schedule=schedule,
                row_format=row_format,
                label_codes=codes,
                address=ServerAddress(
                    host=host,
                    port=server.port,
                    credentials=worker_end,
                    deadline=CALL_DEADLINE_S + shared_weights.layout.nbytes / SLOWEST_BYTES_PER_S,
                    heartbeat=min(
                        LONGEST_HEARTBEAT_S, self._settings.stall_timeout / HEARTBEATS_PER_STALL
                    ),
                ),
                seed=self._settings.seed,
                tasks=tasks,
                # TensorFlow's sums depend on the number of threads, and the weights of synchronous
                # workers must not depend on the number of tasks.
                threads=worker_threads(
                    spark.sparkContext,
                    at_once=schedule.workers if schedule.synchronous else tasks,
                ),
                metric_rules=rules,
                keeps_optimizers=bool(location) and schedule.frequency == EPOCH,
            )
            hosting = Hosting(partitioned, assignment)
            progress = FitProgress(schedule, self._settings.verbose)
            with closing(progress), checkpointer:
                history = follow_job(coordinator, runner, states, hosting, progress, checkpointer)
        runner.end(history)
        require_all_rows(history, schedule)
        return history

    def _states(self, row_format: RowFormat, rules: MetricRules) -> MetricStates:
        try:
            return MetricStates(self._model, row_format, rules)
        except (KeyError, TypeError, ValueError) as error:
            raise TrainingError(
                f"Keras cannot compute the losses and metrics: {first_line(error)}. Check loss, "
                "loss_weights and metrics against the outputs of the model"
            ) from error

    def _require_no_validation(self) -> None:
        for name, value in self._settings.validation_settings().items():
            raise TrainingError(
                f"{name}={value} needs validation rows, found none. Set validation_split or "
                "validationIndicatorCol"
            )

    def _worker_state(self) -> OptimizerState:
        """Return the state for the workers' own optimizers, which only some fits have."""
        if self._settings.frequency == BATCH:
            return OptimizerState()
        return self._spec.optimizer_state

    def _schedule(self, partitioned: Partitioned) -> Schedule:
        return Schedule(
            mode=self._settings.mode,
            frequency=self._settings.frequency,
            epochs=self._settings.epochs,
            batch_size=self._settings.batch_size,
            rows=partitioned.rows,
            validation_rows=partitioned.validation_rows,
            update_rows=update_rows(self._settings, len(partitioned.rows)),
        )

    def _feature_fields(
        self, ports: Sequence[InputPort], dtypes: Sequence[str]
    ) -> tuple[RowField, ...]:
        names = [f"features of the input {port.name!r}" for port in ports]
        return tuple(
            RowField(dtype, int(np.prod(tensor.shape[1:])), name if len(names) > 1 else FEATURES)
            for dtype, name, tensor in zip(dtypes, names, self._model.inputs, strict=True)
        )

    def _label_codes(self, frame: DataFrame, columns: Columns) -> tuple[LabelCode, ...]:
        classes = self._settings.classes
        if classes is not None:
            return (LabelCode(classes, classes),)
        losses = losses_by_output(self._spec.loss, output_names(self._spec.config))
        return tuple(
            LabelCode(None, _label_size(frame, column, loss, tensor.shape[1:]))
            for column, loss, tensor in zip(
                columns.labels, losses, self._model.outputs, strict=True
            )
        )

    def _label_fields(
        self, frame: DataFrame, columns: Columns, codes: Sequence[LabelCode], dtype: str
    ) -> tuple[RowField, ...]:
        names = output_names(self._spec.config)
        losses = losses_by_output(self._spec.loss, names)
        return tuple(
            RowField(
                label_dtype(frame, column, dtype) if column and is_sparse(loss) else dtype,
                code.size,
                f"labels of the output {name!r}" if len(names) > 1 else "labels",
            )
            for column, loss, name, code in zip(columns.labels, losses, names, codes, strict=True)
        )


def _label_size(frame: DataFrame, column: str | None, loss: Any, shape: Sequence[int]) -> int:
    if column is None:
        return 0
    # Without a loss only metrics see the label, and they may take class numbers.
    size = None if loss is None else label_size(loss, shape)
    if size is None:
        return label_length(frame, column)
    if size != 1 and isinstance(frame.schema[column].dataType, NumericType):
        raise TrainingError(
            f"column {column!r}: expected an array or vector of {size} numbers for an output of "
            f"the shape {tuple(shape)}, got single numbers. Use categorical=True with nb_classes, "
            "or a sparse loss, for class numbers"
        )
    return size
