"""Tiny models and data, with which a test of training takes seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import numpy as np

from glasses_spark import GlassesEstimator, build_estimator
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.keras_settings import KerasDefaults
from glasses_spark.training.model_spec import ModelSpec
from glasses_spark.training.optimizers import OptimizerState
from glasses_spark.training.schedule import epoch_order
from glasses_spark.training.weights import frozen_weights
from glasses_spark.training.worker.spool import RowField, RowFormat

FEATURES = 6
ROWS = 43


def tiny_model(
    *,
    dtype: str = "float32",
    optimizer: Any = "adam",
    hidden: Sequence[Any] = (),
    metrics: Sequence[Any] = ("accuracy",),
) -> Any:
    """Build a compiled classifier of rows with `FEATURES` numbers."""
    keras = import_keras()
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((FEATURES,), dtype=dtype),
            layers.Dense(5, activation="tanh", dtype=dtype, kernel_initializer=glorot(1)),
            *hidden,
            layers.Dense(1, activation="sigmoid", dtype=dtype, kernel_initializer=glorot(2)),
        ]
    )
    model.compile(optimizer=optimizer, loss="binary_crossentropy", metrics=list(metrics))
    return model


def tiny_estimator(**changes: Any) -> GlassesEstimator:
    """An estimator of a tiny model with two workers; ``changes`` go to `build_estimator`."""
    settings: dict[str, Any] = {
        "model": tiny_model(),
        "epochs": 2,
        "batch_size": 8,
        "categorical": False,
        "num_workers": 2,
    }
    return build_estimator(**{**settings, **changes})


def glorot(seed: int) -> Any:
    return import_keras().initializers.GlorotUniform(seed=seed)


def spec_of(model: Any) -> ModelSpec:
    """Return the specification from which workers build the same model."""
    keras = import_keras()
    compiled = model.get_compile_config()
    return ModelSpec(
        config=model.to_json(),
        loss=compiled["loss"],
        metrics=tuple(compiled["metrics"] or ()),
        optimizer=keras.optimizers.serialize(model.optimizer),
        optimizer_state=OptimizerState.of(model.optimizer, model.trainable_weights),
        frozen=frozen_weights(model),
        weighted_metrics=tuple(compiled["weighted_metrics"] or ()),
        **asdict(KerasDefaults.of_this_process()),
    )


def same_weights(first: Any, second: Any) -> bool:
    """Whether two fitted models have the same weights, to the last bit."""
    pairs = zip(first.weights, second.weights, strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def row_format(
    *, features: int = FEATURES, feature_dtype: str = "float32", labels: int = 1
) -> RowFormat:
    dtype = "float64" if feature_dtype == "float64" else "float32"
    return RowFormat(
        features=(RowField(feature_dtype, features, "features"),),
        labels=(RowField(dtype, labels, "labels"),),
        dtype=dtype,
    )


def separable(rows: int, *, seed: int = 0) -> tuple[Any, Any]:
    """Draw features ``(rows, FEATURES)`` and labels ``(rows, 1)``, almost linearly separable."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, FEATURES))
    y = (x @ np.arange(1, FEATURES + 1) + generator.normal(size=rows) > 0).astype(float)
    return x, y[:, None]


def row_ranges(shares: Sequence[int]) -> list[range]:
    """Return the rows of each worker, which follow one another in the order of the workers."""
    starts = np.cumsum([0, *shares])
    return [range(start, stop) for start, stop in pairwise(starts)]


def global_batches(
    shares: Sequence[int], *, batch_size: int, seed: int, epoch: int
) -> list[list[int]]:
    """Return the indices of the rows that all workers together use in each synchronous step."""
    orders = [
        epoch_order(len(rows), seed=seed, worker=worker, epoch=epoch) + rows.start
        for worker, rows in enumerate(row_ranges(shares))
    ]
    steps = max(-(-len(order) // batch_size) for order in orders)
    return [
        [
            int(index)
            for order in orders
            for index in order[step * batch_size : (step + 1) * batch_size]
        ]
        for step in range(steps)
    ]


def arrow_rows(
    x: Any, y: Any, weights: Any = None, *, worker: int = 0, validation: bool = False
) -> Any:
    """Return rows in the form in which Spark sends them to a worker: an Arrow record batch."""
    import pyarrow as pa

    element = pa.float64() if x.dtype == np.float64 else pa.float32()
    return pa.RecordBatch.from_pydict(
        {
            "features": pa.array(list(x), pa.list_(element)),
            "target": pa.array([row.tolist() for row in y], pa.list_(pa.float64())),
            "weight": pa.array(np.ones(len(x), x.dtype) if weights is None else weights),
            "validation": pa.array([validation] * len(x)),
            "key": pa.array(np.arange(len(x))),
            "worker": pa.array(np.full(len(x), worker, np.int32)),
        }
    )
