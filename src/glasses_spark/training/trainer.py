"""Trainer: the driver's side of a fit, from a frame of rows to trained weights."""

from __future__ import annotations

import logging
import os
import socket
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from pyspark import InheritableThread, StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark.backend import import_keras
from glasses_spark.errors import TrainingError, WorkerError
from glasses_spark.scoring.features import features_column
from glasses_spark.seeds import derive_seed
from glasses_spark.session import task_slots
from glasses_spark.training.coordinator import Coordinator, FitEndedError, Verdict
from glasses_spark.training.credentials import make_credentials
from glasses_spark.training.history import EpochRecord, EpochTotals
from glasses_spark.training.master import Master, require_supported_optimizer
from glasses_spark.training.parameter_client import ServerAddress
from glasses_spark.training.parameter_server import ParameterServer
from glasses_spark.training.partition import (
    Partitioned,
    add_keys,
    count_buckets,
    partition,
)
from glasses_spark.training.rows import (
    FEATURES,
    TARGET,
    VALIDATION,
    WEIGHT,
    LabelCode,
    target_column,
)
from glasses_spark.training.schedule import BATCH, EPOCH, Schedule
from glasses_spark.training.spool import RowFormat
from glasses_spark.training.steps import MetricStates, ModelSpec
from glasses_spark.training.weights import Vector, read_vector
from glasses_spark.training.worker import REPORT_SCHEMA, Assignment, training_task

logger = logging.getLogger(__name__)

AUTO: Final = "auto"

# Four signs of life may be lost before a worker counts as silent.
HEARTBEATS_PER_STALL: Final = 5
LONGEST_HEARTBEAT_S: Final = 5.0
# For an answer: what the server may make a worker wait, and a slow network at 1 MB/s.
CALL_DEADLINE_S: Final = 60.0
SLOWEST_BYTES_PER_S: Final = 1e6


@dataclass(frozen=True)
class FitSettings:
    """How to fit.

    Attributes:
        epochs: Passes over the rows, at least 1.
        batch_size: Rows in one step of one worker, at least 1.
        num_workers: Count of workers, at least 1, or ``"auto"``: one a task slot.
        mode: ``synchronous``, ``asynchronous`` or ``hogwild``.
        frequency: ``batch`` or ``epoch``.
        classes: Length of one-hot labels, or None for labels as they are.
        validation_split: Share of the rows held back for validation, in [0, 1).
        seed: Seed of the run.
        stall_timeout: Seconds of silence after which a worker counts as lost.
    """

    epochs: int
    batch_size: int
    num_workers: int | str
    mode: str
    frequency: str
    classes: int | None
    validation_split: float
    seed: int
    stall_timeout: float


@dataclass(frozen=True)
class Columns:
    """The user's columns: features, label, and optionally a weight and a validation flag."""

    features: str
    label: str
    weight: str | None = None
    validation: str | None = None


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
        dtype = str(self._model.inputs[0].dtype)
        feature, feature_dtype = features_column(frame, columns.features, dtype)
        code = self._label_code()
        rows = frame.select(
            feature.alias(FEATURES),
            target_column(frame, columns.label).alias(TARGET),
            (
                F.col(f"`{columns.weight}`").cast(dtype_name(dtype))
                if columns.weight
                else F.lit(1.0).cast(dtype_name(dtype))
            ).alias(WEIGHT),
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
            self._model, workers=schedule.workers, uses_gradients=schedule.frequency == BATCH
        )
        states = MetricStates(self._model, row_format)
        coordinator = Coordinator(
            schedule, master, state_size=states.size, stall_timeout=settings.stall_timeout
        )
        server_end, worker_end = make_credentials()
        server = ParameterServer(
            coordinator, server_end, bind_address=spark_setting(spark, "spark.driver.bindAddress")
        )
        with server:
            assignment = Assignment(
                spec=self._spec,
                layout=master.layout,
                schedule=schedule,
                row_format=row_format,
                label_code=code,
                address=ServerAddress(
                    host=spark_setting(spark, "spark.driver.host"),
                    port=server.port,
                    credentials=worker_end,
                    deadline=CALL_DEADLINE_S + master.layout.nbytes / SLOWEST_BYTES_PER_S,
                    heartbeat=min(
                        LONGEST_HEARTBEAT_S, settings.stall_timeout / HEARTBEATS_PER_STALL
                    ),
                ),
                seed=settings.seed,
                threads=worker_threads(spark, schedule.workers),
            )
            frame = partitioned.frame.mapInArrow(
                training_task(assignment), REPORT_SCHEMA, barrier=schedule.synchronous
            )
            with _Job(frame, coordinator) as job:
                history = self._follow(coordinator, master, states, job)
        _require_all_rows(history, schedule)
        return history

    def _follow(
        self, coordinator: Coordinator, master: Master, states: MetricStates, job: _Job
    ) -> list[EpochRecord]:
        keras = import_keras()
        schedule = coordinator.schedule
        callbacks = keras.callbacks.CallbackList(
            list(self._callbacks),
            model=self._model,
            epochs=schedule.epochs,
            steps=schedule.steps_per_epoch,
        )
        self._model.stop_training = False
        callbacks.on_train_begin()
        callbacks.on_epoch_begin(0)
        history: list[EpochRecord] = []
        while True:
            totals = coordinator.next_epoch(running=job.running)
            if totals is None:
                break
            record = self._record(totals, states, schedule)
            history.append(record)
            logger.debug("epoch %d: %s", record.epoch, record.metrics)
            self._call_back(callbacks, coordinator, master, record)
        job.result()
        if len(history) < schedule.epochs and not self._model.stop_training:
            raise WorkerError(
                f"expected {schedule.epochs} epochs from all workers, got {len(history)}"
            )
        master.write_to_model()
        callbacks.on_train_end(history[-1].metrics if history else None)
        return history

    def _call_back(
        self, callbacks: Any, coordinator: Coordinator, master: Master, record: EpochRecord
    ) -> None:
        if self._model.stop_training:
            return  # asynchronous workers may end further epochs after the last that counted
        before = None
        if self._callbacks:
            before = master.vector()
            master.write_to_model()
        callbacks.on_epoch_end(record.epoch - 1, dict(record.metrics))
        if before is not None:
            self._take_over_weights(coordinator, master, before)
        last = record.epoch == self._settings.epochs
        coordinator.proceed(
            Verdict(stop=self._model.stop_training or last, learning_rate=self._learning_rate())
        )
        if not (last or self._model.stop_training):
            callbacks.on_epoch_begin(record.epoch)

    def _take_over_weights(self, coordinator: Coordinator, master: Master, before: Vector) -> None:
        """Give the workers the weights that a callback set, such as the best ones so far."""
        now = read_vector(self._model, master.layout)
        if not np.array_equal(now, before):
            coordinator.replace_weights(now)

    def _record(self, totals: EpochTotals, states: MetricStates, schedule: Schedule) -> EpochRecord:
        metrics = states.results(totals.metric_state)
        if sum(schedule.validation_rows):
            validation = states.results(totals.validation_state)
            metrics |= {f"val_{name}": value for name, value in validation.items()}
        return EpochRecord(totals.epoch + 1, metrics, totals.rows, totals.workers)

    def _learning_rate(self) -> float | None:
        """What workers with their own optimizers shall use from now on; None for no change."""
        if self._settings.frequency != EPOCH or not self._callbacks:
            return None
        keras = import_keras()
        optimizer = self._model.optimizer
        # A schedule counts steps, which each worker's own optimizer does.
        if isinstance(optimizer._learning_rate, keras.optimizers.schedules.LearningRateSchedule):
            return None
        return float(optimizer.learning_rate)

    def _count_workers(self, spark: SparkSession) -> int:
        settings = self._settings
        slots = task_slots(spark)
        wanted = slots if settings.num_workers == AUTO else settings.num_workers
        if not isinstance(wanted, int) or isinstance(wanted, bool) or wanted < 1:
            raise TrainingError(
                f"num_workers: expected a whole number of at least 1 or 'auto', got {wanted!r}"
            )
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
        loss = self._model.loss
        name = loss if isinstance(loss, str) else getattr(loss, "name", type(loss).__name__)
        if "sparse" in str(name):
            return 1
        return int(np.prod(self._model.output_shape[1:]))

    def _feature_size(self) -> int:
        return int(np.prod(self._model.input_shape[1:]))

    def _validation_column(self, columns: Columns) -> Any:
        if columns.validation:
            return F.coalesce(F.col(f"`{columns.validation}`").cast("boolean"), F.lit(False))
        return F.lit(False)

    def _hold_back(self, keyed: DataFrame, columns: Columns) -> DataFrame:
        share = self._settings.validation_split
        if columns.validation or not share:
            return keyed
        # By the row's own key: the same rows whatever the partitions are.
        seed = derive_seed(self._settings.seed, "validation")
        place = F.pmod(F.xxhash64(F.lit(seed), F.col("key")), F.lit(1_000_000)) / 1_000_000
        return keyed.withColumn(VALIDATION, place < share)


class _Job:
    """The Spark job of a fit, in a thread of its own, so that the driver can act meanwhile."""

    def __init__(self, frame: DataFrame, coordinator: Coordinator) -> None:
        self._frame = frame
        self._coordinator = coordinator
        self._context = frame.sparkSession.sparkContext
        self._group = f"glasses-spark-fit-{uuid.uuid4()}"
        self._error: Exception | None = None
        self._thread = InheritableThread(target=self._collect, name="fit")

    def __enter__(self) -> _Job:
        self._thread.start()
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is not None:
            # Workers that wait are sent home; those that compute are cancelled by Spark.
            self._coordinator.fail(FitEndedError("the fit has ended"))
            self._context.cancelJobGroup(self._group)
        self._thread.join()

    def running(self) -> bool:
        """Whether Spark is still at it."""
        return self._thread.is_alive()

    def result(self) -> None:
        """Raise what ended the job, if it was an error."""
        self._thread.join()
        if self._error is not None:
            raise WorkerError(f"the training job failed: {_brief(self._error)}") from self._error

    def _collect(self) -> None:
        try:
            self._context.setJobGroup(self._group, "train", interruptOnCancel=True)
            self._frame.collect()
        except Exception as error:
            self._error = error
        finally:
            self._coordinator.wake()


def worker_threads(spark: SparkSession, workers: int) -> int:
    """Threads that each worker may compute on: its share of the cores, at least 1."""
    context = spark.sparkContext
    if str(context.master).startswith("local[") or context.master == "local":
        cores = os.cpu_count() or 1
        return max(1, cores // min(workers, task_slots(spark)))
    return max(1, int(context.getConf().get("spark.task.cpus", "1") or 1))


def spark_setting(spark: SparkSession, key: str) -> str:
    """A setting of the running Spark that names the driver's address."""
    value = spark.sparkContext.getConf().get(key)
    return value or socket.gethostname()


def dtype_name(dtype: str) -> str:
    """Spark's name for a floating-point type of NumPy."""
    return "double" if dtype == "float64" else "float"


def _require_all_rows(history: Sequence[EpochRecord], schedule: Schedule) -> None:
    for record in history:
        used = tuple(share.rows for share in record.workers)
        if used != schedule.rows:
            raise WorkerError(
                f"epoch {record.epoch}: expected each worker to train on its rows "
                f"{schedule.rows}, got {used}"
            )


def _brief(error: Exception) -> str:
    """The line of a Spark error that says what happened, without the Java stack."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "Error:" in line or "Exception:" in line]
    return (telling[-1] if telling else lines[0] if lines else type(error).__name__)[:500]
