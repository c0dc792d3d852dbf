"""Trainer: the driver's side of a fit, from a frame of rows to trained weights."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark.config.fields import AUTO
from glasses_spark.errors import TrainingError
from glasses_spark.runtime.task_slots import task_slots
from glasses_spark.runtime.workers import worker_environment, worker_threads
from glasses_spark.scoring.features import features_column
from glasses_spark.seeds import derive_seed
from glasses_spark.training.callbacks import CallbackRunner
from glasses_spark.training.history import EpochRecord
from glasses_spark.training.metric_states import MetricStates
from glasses_spark.training.model_spec import ModelSpec
from glasses_spark.training.partition import Partitioned, add_keys, count_buckets, partition
from glasses_spark.training.precision import resolve_precision
from glasses_spark.training.rows import (
    FEATURES,
    KEY,
    TARGET,
    VALIDATION,
    WEIGHT,
    LabelCode,
    target_column,
)
from glasses_spark.training.schedule import BATCH, Schedule
from glasses_spark.training.server.certificates import make_credentials
from glasses_spark.training.server.coordinator import Coordinator
from glasses_spark.training.server.optimizer_step import require_supported_optimizer
from glasses_spark.training.server.parameter_client import ServerAddress
from glasses_spark.training.server.parameter_server import ParameterServer
from glasses_spark.training.server.shared_weights import Master
from glasses_spark.training.settings import Columns, FitSettings
from glasses_spark.training.spark_job import follow_job, require_all_rows
from glasses_spark.training.worker.spool import RowFormat
from glasses_spark.training.worker.worker import REPORT_SCHEMA, Assignment, training_task

logger = logging.getLogger(__name__)

# Four signs of life may be lost before a worker counts as silent.
HEARTBEATS_PER_STALL: Final = 5
LONGEST_HEARTBEAT_S: Final = 5.0

# For an answer: what the server may make a worker wait, and a slow network at 1 MB/s.
CALL_DEADLINE_S: Final = 60.0
SLOWEST_BYTES_PER_S: Final = 1e6


class Trainer:
    """Fits one Keras model on one frame.

    Args:
        model: Compiled Keras model in the driver. Its weights are where the
            fit begins; afterwards they are the trained ones.
        spec: The same model, for the workers.
        settings: How to fit.
        callbacks: Keras callbacks, run in the driver.
    """

    def __init__(
        self,
        model: Any,
        spec: ModelSpec,
        settings: FitSettings,
        callbacks: Sequence[Any] = (),
    ) -> None:
        require_supported_optimizer(model.optimizer)
        if not model.trainable_weights:
            raise TrainingError(
                "expected a model with weights to train, got one whose layers are all frozen"
            )
        self._model = model
        self._spec = spec
        self._settings = settings
        self._callbacks = callbacks

    def fit(self, frame: DataFrame, columns: Columns) -> list[EpochRecord]:
        """Train the model.

        Args:
            frame: Rows; they are read once, and kept on the executors' disks
                until the fit ends.
            columns: Which of its columns to use.

        Returns:
            One record an epoch.

        Raises:
            TrainingError: The rows do not fit the model, there are none, or
                there are more synchronous workers than task slots.
            WorkerError: A worker failed, was lost, or trained other rows than
                it was given.
        """
        spark = frame.sparkSession
        workers = self._count_workers(spark)
        # Features, labels and weights; a model of whole numbers gets its features from float32.
        dtype = "float64" if str(self._model.inputs[0].dtype) == "float64" else "float32"
        feature, feature_dtype = features_column(frame, columns.features, dtype)
        code = self._label_code()
        rows = frame.select(
            feature.alias(FEATURES),
            target_column(frame, columns.label).alias(TARGET),
            self._weight_column(frame, columns).cast(dtype_name(dtype)).alias(WEIGHT),
            self._validation_column(columns).alias(VALIDATION),
        )
        names = [FEATURES, TARGET, WEIGHT]
        keyed = add_keys(rows, names, seed=derive_seed(self._settings.seed, "partition"))
        keyed = self._hold_back(keyed, columns).persist(StorageLevel.MEMORY_AND_DISK)
        try:
            buckets = count_buckets(keyed)
            if not any(not row[VALIDATION] for row in buckets):
                raise TrainingError(
                    "expected rows to train on, got none; look at what the split and the "
                    "filters before it left over"
                )
            partitioned = partition(keyed, buckets, workers)
            row_format = RowFormat(
                feature_dtype=feature_dtype,
                feature_size=self._feature_size(),
                label_size=code.size,
                dtype=dtype,
            )
            return self._run(partitioned, row_format, code)
        finally:
            keyed.unpersist()

    def _run(
        self, partitioned: Partitioned, row_format: RowFormat, code: LabelCode
    ) -> list[EpochRecord]:
        settings = self._settings
        schedule = Schedule(
            mode=settings.mode,
            frequency=settings.frequency,
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            rows=partitioned.rows,
            validation_rows=partitioned.validation_rows,
        )
        spark = partitioned.frame.sparkSession
        master = Master(
            self._model,
            workers=schedule.workers,
            uses_gradients=schedule.frequency == BATCH,
            staleness_aware=settings.staleness_aware and not schedule.synchronous,
        )
        states = MetricStates(self._model, row_format)
        coordinator = Coordinator(
            schedule, master, state_size=states.size, stall_timeout=settings.stall_timeout
        )
        server_end, worker_end = make_credentials()
        host, bind_address = driver_addresses(spark.sparkContext.getConf().get)
        server = ParameterServer(
            coordinator, server_end, bind_address=bind_address, port=settings.port
        )
        runner = CallbackRunner(self._model, self._callbacks, coordinator)
        runner.begin()
        with server:
            threads = worker_threads(
                spark.sparkContext, at_once=min(schedule.workers, task_slots(spark))
            )
            assignment = Assignment(
                spec=replace(self._spec, precision=resolve_precision(spark, settings.precision)),
                layout=master.layout,
                schedule=schedule,
                row_format=row_format,
                label_code=code,
                address=ServerAddress(
                    host=host,
                    port=server.port,
                    credentials=worker_end,
                    deadline=CALL_DEADLINE_S + master.layout.nbytes / SLOWEST_BYTES_PER_S,
                    heartbeat=min(
                        LONGEST_HEARTBEAT_S, settings.stall_timeout / HEARTBEATS_PER_STALL
                    ),
                ),
                seed=settings.seed,
                threads=threads,
            )

            def workers() -> DataFrame:
                with worker_environment(spark.sparkContext, threads=threads):
                    return partitioned.frame.mapInArrow(
                        training_task(assignment), REPORT_SCHEMA, barrier=schedule.synchronous
                    )

            history = follow_job(coordinator, runner, states, workers)
        runner.end(history)
        require_all_rows(history, schedule)
        return history

    def _count_workers(self, spark: SparkSession) -> int:
        settings = self._settings
        slots = task_slots(spark)
        wanted = slots if settings.num_workers == AUTO else int(settings.num_workers)
        if wanted > slots and settings.mode == "synchronous":
            raise TrainingError(
                f"num_workers: synchronous training needs all workers at once, and {wanted} "
                f"workers do not fit into {slots} task slots. Take num_workers={slots} or 'auto', "
                "give Spark more cores, or train asynchronously"
            )
        if wanted > slots:
            logger.warning(
                "%d workers share %d task slots: they train in waves, one after the other",
                wanted,
                slots,
            )
        return wanted

    def _label_code(self) -> LabelCode:
        if self._settings.classes is not None:
            return LabelCode(self._settings.classes, self._settings.classes)
        return LabelCode(None, self._target_size())

    def _target_size(self) -> int:
        """Numbers in a row's label: those of the output, but one class number for many."""
        loss = self._spec.loss
        names = [
            loss if isinstance(loss, str) else "",
            getattr(loss, "__name__", type(loss).__name__),
            loss.get("class_name", "") if isinstance(loss, Mapping) else "",
        ]
        if any("sparse" in name.lower() for name in names):
            return 1
        return int(np.prod(self._model.output_shape[1:]))

    def _feature_size(self) -> int:
        return int(np.prod(self._model.input_shape[1:]))

    def _weight_column(self, frame: DataFrame, columns: Columns) -> Column:
        weight = F.lit(1.0) if columns.weight is None else F.col(f"`{columns.weight}`")
        for label, factor in self._settings.class_weights.items():
            weight = F.when(F.col(f"`{columns.label}`") == label, weight * factor).otherwise(weight)
        return weight

    def _validation_column(self, columns: Columns) -> Column:
        if columns.validation:
            return F.coalesce(F.col(f"`{columns.validation}`").cast("boolean"), F.lit(False))
        return F.lit(False)

    def _hold_back(self, keyed: DataFrame, columns: Columns) -> DataFrame:
        share = self._settings.validation_split
        if columns.validation or not share:
            return keyed
        # By the row's own key: the same rows whatever the partitions are.
        seed = derive_seed(self._settings.seed, "validation")
        place = F.pmod(F.xxhash64(F.lit(seed), F.col(KEY)), F.lit(1_000_000)) / 1_000_000
        return keyed.withColumn(VALIDATION, place < share)


def driver_addresses(setting: Callable[[str], str | None]) -> tuple[str, str]:
    """Where executors reach the driver, and where it listens.

    Args:
        setting: Gives Spark's settings, which has both for its own server.
    """
    host = setting("spark.driver.host") or socket.gethostname()
    return host, setting("spark.driver.bindAddress") or host


def dtype_name(dtype: str) -> str:
    """Spark's name for a floating-point type of NumPy."""
    return "double" if dtype == "float64" else "float"
