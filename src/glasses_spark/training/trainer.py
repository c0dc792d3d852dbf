"""Trainer: the driver's side of a fit, from a DataFrame to trained weights."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from pyspark.sql import DataFrame
from pyspark.sql.types import NumericType

from glasses_spark.columns import FEATURES
from glasses_spark.errors import TrainingError
from glasses_spark.runtime.causes import describe
from glasses_spark.runtime.connect import is_connect
from glasses_spark.runtime.frames import require_frame
from glasses_spark.runtime.task_slots import count_workers, task_slots
from glasses_spark.runtime.worker_python import require_worker_python
from glasses_spark.scoring.model_ports import InputPort, input_ports, output_names
from glasses_spark.training.callback_checks import (
    require_epoch_callbacks,
    require_validation_callbacks,
)
from glasses_spark.training.callbacks import make_callbacks
from glasses_spark.training.checkpoint.fingerprint import Fingerprint, fingerprint_of
from glasses_spark.training.connect_fit import ConnectFit, require_connect_settings
from glasses_spark.training.coordination import FitPlan, coordinate
from glasses_spark.training.history import EpochRecord
from glasses_spark.training.hosting import DriverHost
from glasses_spark.training.metric_rules import metric_rules
from glasses_spark.training.metric_states import MetricRules, MetricStates
from glasses_spark.training.model_spec import ModelSpec
from glasses_spark.training.optimizer_checks import require_supported_optimizer
from glasses_spark.training.output_kind import KERAS_LOSSES, loss_function
from glasses_spark.training.output_settings import is_sparse, label_size, losses_by_output
from glasses_spark.training.partition import Partitioned, partition
from glasses_spark.training.rows import VALIDATION, LabelCode, label_dtype, label_length
from glasses_spark.training.schedule import Schedule
from glasses_spark.training.server.asynchronous_rules import update_rows
from glasses_spark.training.settings import Columns, FitSettings
from glasses_spark.training.shared_rows import SharedRows
from glasses_spark.training.training_frame import Selection, training_frame
from glasses_spark.training.valid_rows import valid_rows
from glasses_spark.training.weights import layout_of
from glasses_spark.training.worker.spool import RowField, RowFormat

logger = logging.getLogger(__name__)


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
                "expected a model with trainable weights, got one whose layers are all frozen or "
                "have none"
            )
        require_supported_optimizer(model, settings.frequency)
        require_epoch_callbacks(callbacks)
        self._model = model
        self._spec = spec
        self._settings = settings
        self._user_callbacks = tuple(callbacks)
        self._callbacks = [*callbacks, *make_callbacks(settings)]

    def fit(
        self, frame: DataFrame, columns: Columns, shared_rows: SharedRows | None = None
    ) -> list[EpochRecord]:
        """Train the model.

        Args:
            frame: Rows. They are read once, and persisted on the executors until the fit
                ends.
            columns: Columns of the frame to use.
            shared_rows: Keeps the rows for other fits on this frame.

        Returns:
            One record for each epoch.

        Raises:
            TrainingError: The rows do not fit the model, there are no training rows, or
                early stopping has no validation rows.
            WorkerError: A worker failed, was lost, or trained on other rows than its own.
        """
        require_frame(frame, "fit")
        if is_connect(frame.sparkSession):
            require_connect_settings(self._settings, self._user_callbacks)
        slots = task_slots(frame.sparkSession)
        workers = count_workers(self._settings.num_workers, slots=slots)
        if self._settings.validation_split or columns.validation:
            require_validation_callbacks(self._callbacks)
        ports = input_ports(self._spec.config)
        if columns.skip_invalid:
            frame = valid_rows(frame, columns, ports)
        is_float64 = any(str(port.dtype) == "float64" for port in self._model.inputs)
        dtype = "float64" if is_float64 else "float32"
        selection = Selection.of(columns, self._settings, ports, dtype=dtype)
        rows, feature_dtypes = training_frame(frame, selection)
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
        require_worker_python(frame.sparkSession, slots=slots)
        with shared_rows or SharedRows() as shared:
            prepared = shared.prepare(selection, lambda: rows)
            buckets = prepared.buckets
            if all(bucket[VALIDATION] for bucket in buckets):
                raise TrainingError(
                    "expected rows to train on, got none. Check the split and the filters that "
                    "select the rows"
                )
            if not any(bucket[VALIDATION] for bucket in buckets):
                self._require_no_validation()
            partitioned = partition(prepared.frame, buckets, workers)
            fingerprint = fingerprint_of(
                self._spec, self._settings, workers=workers, buckets=buckets
            )
            return self._run(
                partitioned,
                row_format,
                codes,
                states,
                rules,
                fingerprint,
                keeps_steps=shared_rows is not None,
            )

    def _run(
        self,
        partitioned: Partitioned,
        row_format: RowFormat,
        codes: tuple[LabelCode, ...],
        states: MetricStates,
        rules: MetricRules,
        fingerprint: Fingerprint,
        *,
        keeps_steps: bool,
    ) -> list[EpochRecord]:
        plan = FitPlan(
            spec=self._spec,
            settings=self._settings,
            schedule=self._schedule(partitioned),
            layout=layout_of(self._model),
            row_format=row_format,
            label_codes=codes,
            metric_rules=rules,
            fingerprint=fingerprint,
            keeps_steps=keeps_steps,
        )
        if is_connect(partitioned.frame.sparkSession):
            return ConnectFit(partitioned, plan, states.rules).run(self._model)
        return coordinate(
            self._model, self._callbacks, states, plan, DriverHost(partitioned, self._settings)
        )

    def _states(self, row_format: RowFormat, rules: MetricRules) -> MetricStates:
        try:
            return MetricStates(self._model, row_format, rules)
        except Exception as error:  # also of a loss or metric of the user's own
            if isinstance(error, ValueError):
                self._require_label_form()
            raise TrainingError(
                f"Keras cannot compute the losses and metrics: {describe(error)}. Check loss, "
                "loss_weights and metrics against the outputs of the model"
            ) from error

    def _require_label_form(self) -> None:
        """Refuse class numbers that are encoded for another model or loss."""
        classes, size = self._settings.classes, self._model.outputs[0].shape[-1]
        if classes is None or loss_function(self._spec.loss)[0] not in KERAS_LOSSES:
            return
        if is_sparse(self._spec.loss):
            raise TrainingError(
                "categorical=True makes one-hot rows of the labels, but this loss takes class "
                "numbers. Use categorical=False"
            )
        if classes != size:
            advice = f"nb_classes={size}, or " if size > 1 else ""
            raise TrainingError(
                f"nb_classes={classes}: expected a model with {classes} outputs, one for each "
                f"class, got {size}. Use {advice}categorical=False for labels as they are"
            )

    def _require_no_validation(self) -> None:
        for name, value in self._settings.validation_settings().items():
            raise TrainingError(
                f"{name}={value} needs validation rows, found none. Set validation_split or "
                "validationIndicatorCol"
            )

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
