"""Tiny models and data for the tests of training, small enough for every mode in seconds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.model_spec import ModelSpec
from glasses_spark.training.schedule import epoch_order
from glasses_spark.training.worker.spool import RowFormat

FEATURES = 6


def tiny_model(
    *,
    dtype: str = "float32",
    optimizer: Any = "adam",
    hidden: Sequence[Any] = (),
    metrics: Sequence[Any] = ("accuracy",),
) -> Any:
    """A compiled classifier of `FEATURES` numbers."""
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


def glorot(seed: int) -> Any:
    return import_keras().initializers.GlorotUniform(seed=seed)


def spec_of(model: Any) -> ModelSpec:
    """How the workers build the same model."""
    keras = import_keras()
    compiled = model.get_compile_config()
    return ModelSpec(
        config=model.to_json(),
        loss=compiled["loss"],
        metrics=tuple(compiled["metrics"] or ()),
        optimizer=keras.optimizers.serialize(model.optimizer),
        floatx=keras.config.floatx(),
    )


def row_format(*, features: int = FEATURES, feature_dtype: str = "float32") -> RowFormat:
    dtype = "float64" if feature_dtype == "float64" else "float32"
    return RowFormat(feature_dtype, features, 1, dtype)


def separable(rows: int, *, seed: int = 0) -> tuple[Any, Any]:
    """Features ``(rows, FEATURES)`` and labels ``(rows, 1)`` that a line almost separates."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(rows, FEATURES))
    y = (x @ np.arange(1, FEATURES + 1) + generator.normal(size=rows) > 0).astype(float)
    return x, y[:, None]


def runs(shares: Sequence[int]) -> list[range]:
    """The rows of each worker: runs of the rows in their order."""
    starts = np.cumsum([0, *shares])
    return [range(a, b) for a, b in pairwise(starts)]


def global_batches(
    shares: Sequence[int], *, batch_size: int, seed: int, epoch: int
) -> list[list[int]]:
    """The rows, by number, that all workers together use in each synchronous step."""
    parts = runs(shares)
    orders = [
        epoch_order(len(part), seed=seed, worker=worker, epoch=epoch) + part.start
        for worker, part in enumerate(parts)
    ]
    steps = max(-(-len(order) // batch_size) for order in orders)
    return [
        [
            int(number)
            for order in orders
            for number in order[step * batch_size : (step + 1) * batch_size]
        ]
        for step in range(steps)
    ]


def arrow_rows(x: Any, y: Any, *, first_key: int = 0, validation: bool = False) -> Any:
    """Rows as Spark sends them to a worker: one Arrow record batch."""
    import pyarrow as pa

    element = pa.float64() if x.dtype == np.float64 else pa.float32()
    return pa.RecordBatch.from_pydict(
        {
            "features": pa.array(list(x), pa.list_(element)),
            "target": pa.array([row.tolist() for row in y], pa.list_(pa.float64())),
            "weight": pa.array(np.ones(len(x), x.dtype)),
            "validation": pa.array([validation] * len(x)),
            "key": pa.array(np.arange(first_key, first_key + len(x))),
        }
    )
