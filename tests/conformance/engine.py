"""Engine: a fit of an estimator by one synchronous worker in a thread instead of a Spark task.

Everything else is the package's own: the estimator with its checks, the parameter server, the
worker, the callbacks in the driver, the fitted stage and its predictor. All that this suite knows
of the package's private modules is in this file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from unittest.mock import patch

import numpy as np
import numpy.typing as npt

from glasses_spark import build_estimator
from glasses_spark.runtime.machine import LOOPBACK
from glasses_spark.scoring.features import STRING, transfer_dtype
from glasses_spark.scoring.model_ports import output_names
from glasses_spark.scoring.predictor import Predictor
from glasses_spark.training import estimator as estimator_module
from glasses_spark.training.callbacks import CallbackRunner
from glasses_spark.training.metric_rules import metric_rules
from glasses_spark.training.metric_states import MetricRules, MetricStates
from glasses_spark.training.output_settings import is_sparse, label_size, losses_by_output
from glasses_spark.training.rows import LabelCode
from glasses_spark.training.schedule import Schedule
from glasses_spark.training.server.certificates import make_credentials
from glasses_spark.training.server.coordinator import Coordinator
from glasses_spark.training.server.parameter_client import ServerAddress
from glasses_spark.training.server.parameter_server import ParameterServer
from glasses_spark.training.server.shared_weights import SharedWeights
from glasses_spark.training.spark_job import epoch_record
from glasses_spark.training.trainer import Trainer
from glasses_spark.training.worker.assignment import Assignment
from glasses_spark.training.worker.spool import RowField, RowFormat, numbered
from glasses_spark.training.worker.task import train

Array = npt.NDArray[Any]

SEED: Final = 5
BATCH: Final = 4

_credentials = cache(make_credentials)


class Rows:
    """Rows of a fit.

    Args:
        x: Features ``(rows, ...)``, numbers or strings.
        labels: Labels ``(rows, ...)`` of each output.
    """

    def __init__(self, x: Array, *labels: Array) -> None:
        self.x = x
        self.labels = labels

    def y(self, batch: Any = slice(None)) -> Any:
        """Return the labels of a batch in the form that Keras takes."""
        labels = tuple(label[batch] for label in self.labels)
        return labels if len(labels) > 1 else labels[0]


@dataclass(frozen=True)
class Outcome:
    """Result of a fit.

    Attributes:
        weights: Weights afterwards, in the order of ``model.weights``.
        history: Logs of each epoch.
        predictions: The fitted model's outputs for the training rows, ``(rows, numbers)`` each.
    """

    weights: list[Array]
    history: list[dict[str, Any]]
    predictions: list[Array]


class RefusedError(Exception):
    """The package refused the fit before it read any data; the message is the package's."""


def fit(
    model: Any, rows: Rows, *, epochs: int, callbacks: Sequence[Any] = (), traced: bool = True
) -> Outcome:
    """Fit a compiled model as ``build_estimator`` and ``fit`` do, and score the rows.

    Args:
        model: Compiled Keras model with its weights to start from.
        rows: The training rows.
        epochs: Passes over the rows.
        callbacks: Keras callbacks.
        traced: Whether to trace the steps of worker, server and predictor.

    Raises:
        RefusedError: See there.
    """
    import tensorflow as tf

    tf.config.run_functions_eagerly(not traced)
    try:
        return _fit(model, rows, epochs=epochs, callbacks=callbacks)
    finally:
        tf.config.run_functions_eagerly(False)


def _fit(model: Any, rows: Rows, *, epochs: int, callbacks: Sequence[Any]) -> Outcome:
    reading: list[bool] = []

    class ThreadTrainer(Trainer):
        def fit(self, frame: Any, columns: Any, shared_rows: Any = None) -> list[Any]:
            reading.append(True)
            fitted.append(self._model)
            return _run(self, frame)

    fitted: list[Any] = []
    try:
        estimator = build_estimator(
            model,
            epochs=epochs,
            batch_size=BATCH,
            categorical=False,
            mode="synchronous",
            frequency="batch",
            seed=SEED,
            callbacks=callbacks,
            labelCol=_label_names(rows),
        )
        with patch.object(estimator_module, "Trainer", ThreadTrainer):
            stage = estimator.fit(rows)
    except Exception as error:
        if _is_refusal(error) and not reading:
            raise RefusedError(str(error)) from error
        raise
    predictor = Predictor(stage._trained().build(), with_logits=False)
    feature_dtype = transfer_dtype(str(model.inputs[0].dtype))
    predictions, _ = predictor.predict(_features(rows.x, feature_dtype))
    weights = [np.asarray(weight) for weight in fitted[0].get_weights()]
    history = [
        {key: value for key, value in record.items() if key not in ("epoch", "rows", "workers")}
        for record in stage.history
    ]
    return Outcome(weights, history, list(predictions))


def _is_refusal(error: Exception) -> bool:
    from glasses_spark.errors import GlassesSparkError

    return isinstance(error, GlassesSparkError)


def _run(trainer: Any, rows: Rows) -> list[Any]:
    model, settings, spec = trainer._model, trainer._settings, trainer._spec
    dtype = "float64" if str(model.inputs[0].dtype) == "float64" else "float32"
    losses = losses_by_output(spec.loss, output_names(spec.config))
    codes = tuple(
        LabelCode(None, label_size(loss, tensor.shape[1:]) or int(np.prod(y.shape[1:])))
        for loss, tensor, y in zip(losses, model.outputs, rows.labels, strict=True)
    )
    feature_dtype = transfer_dtype(str(model.inputs[0].dtype))
    form = RowFormat(
        features=(RowField(feature_dtype, int(np.prod(model.input_shape[1:])), "features"),),
        labels=tuple(
            RowField(_label_dtype(loss, y, dtype), code.size, "labels")
            for loss, y, code in zip(losses, rows.labels, codes, strict=True)
        ),
        dtype=dtype,
    )
    schedule = Schedule(
        settings.mode,
        settings.frequency,
        settings.epochs,
        settings.batch_size,
        (len(rows.x),),
        (0,),
    )
    shared_weights = SharedWeights(model, workers=1, uses_gradients=True)
    states = MetricStates(model, form, MetricRules(weighted=False, validation_weighted=False))
    rules = metric_rules(states, workers=1)
    coordinator = Coordinator(
        schedule,
        shared_weights,
        state_size=states.size,
        carried_metrics=bool(rules.carried),
        stall_timeout=60,
    )
    server_end, worker_end = _credentials()
    runner = CallbackRunner(model, trainer._callbacks, coordinator)
    runner.begin()
    history: list[Any] = []
    with ParameterServer(coordinator, server_end) as server, ThreadPoolExecutor(1) as pool:
        assignment = Assignment(
            spec=spec,
            layout=shared_weights.layout,
            schedule=schedule,
            row_format=form,
            label_codes=codes,
            address=ServerAddress(LOOPBACK, server.port, worker_end, 30.0, 5.0),
            seed=settings.seed,
            tasks=1,
            threads=1,
            metric_rules=rules,
        )
        batch = _arrow(rows, feature_dtype, dtype)
        task = pool.submit(train, assignment, 0, 0, [batch])
        task.add_done_callback(lambda _: coordinator.wake())
        running: Callable[[], bool] = lambda: not task.done()  # noqa: E731
        try:
            while totals := coordinator.next_epoch(running=running, poll=0.05):
                history.append(runner.end_epoch(epoch_record(totals, states, schedule)))
        except Exception as error:
            coordinator.fail(error)
            raise
        task.result()
    runner.end(history)
    return history


def _label_dtype(loss: Any, y: Array, dtype: str) -> str:
    return "int64" if is_sparse(loss) and y.dtype.kind == "i" else dtype


def _features(x: Array, dtype: str) -> Array:
    return np.ascontiguousarray(x.reshape(len(x), -1), object if dtype == STRING else dtype)


def _label_names(rows: Rows) -> Any:
    names = [f"label {number}" for number in range(len(rows.labels))]
    return names if len(names) > 1 else names[0]


def _arrow(rows: Rows, feature_dtype: str, dtype: str) -> Any:
    """Return rows in the form in which Spark sends them to a worker: an Arrow record batch."""
    import pyarrow as pa

    x, count = _features(rows.x, feature_dtype), len(rows.x)
    element = pa.string() if feature_dtype == STRING else pa.from_numpy_dtype(feature_dtype)
    labels = [list(y.reshape(count, -1).astype(float)) for y in rows.labels]
    return pa.RecordBatch.from_pydict(
        {
            "features": pa.array(x.tolist(), pa.list_(element)),
            **{
                numbered("target", number): pa.array(y, pa.list_(pa.float64()))
                for number, y in enumerate(labels)
            },
            "weight": pa.array(np.ones(count, dtype)),
            "validation": pa.array([False] * count),
            "key": pa.array(np.arange(count)),
            "worker": pa.array(np.zeros(count, np.int32)),
        }
    )
