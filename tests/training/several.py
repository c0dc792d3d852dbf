"""A model with several inputs and outputs, its rows, and plain Keras on the same batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from glasses_spark import GlassesModel
from glasses_spark.runtime.keras import import_keras
from glasses_spark.scoring.model_ports import input_ports, output_names
from glasses_spark.training.schedule import epoch_order, share
from glasses_spark.training.settings import Columns, FitSettings
from glasses_spark.training.training_frame import Selection, training_frame
from tests.training.tiny import glorot, row_ranges

keras = import_keras()
layers = keras.layers

# Neighbouring whole numbers above these are equal in float32 and in float64.
BIG, HUGE = 2**25, 2**54
ROWS, SIDE, BATCH, SEED = 23, 4, 7, 3
CITIES = ("Bonn", "Köln", "Ulm")
INPUTS = ("picture", "age", "city", "number", "exact")
OUTPUTS = ("price", "kind")
FEATURES = {
    "picture": "pixels",
    "age": "age",
    "city": "city",
    "number": "id",
    "exact": "measured",
}
LABELS = {"price": "price", "kind": "class"}
SCHEMA = (
    "pixels binary, age double, city string, id bigint, measured double, price double, "
    "class int, w double, held_out boolean"
)


def table(rows: int = ROWS) -> dict[str, Any]:
    """Draw the columns of `SCHEMA` as arrays; ``id`` and ``measured`` need all their digits."""
    generator = np.random.default_rng(1)
    cities = generator.integers(0, len(CITIES) + 1, rows)
    age = generator.uniform(0, 1, rows).astype(np.float32)
    return {
        "pixels": generator.integers(0, 256, (rows, SIDE * SIDE), dtype=np.uint8),
        "age": age,
        "city": np.array([*CITIES, "elsewhere"], object)[cities],
        "id": BIG + np.arange(rows),
        "measured": 2.0**30 + generator.uniform(0, 1, rows),
        "price": (age + cities).astype(np.float32),
        "class": (cities % 3).astype(np.int64),
        "w": generator.uniform(0.5, 2, rows).astype(np.float32),
        "held_out": np.arange(rows) % 6 == 5,
    }


def frame_of(spark: SparkSession, columns: dict[str, Any]) -> DataFrame:
    rows = [
        (
            bytearray(row[0]),
            *(value.item() if hasattr(value, "item") else value for value in row[1:]),
        )
        for row in zip(*columns.values(), strict=True)
    ]
    return spark.createDataFrame(rows, SCHEMA)


def wide_and_deep(*, as_mappings: bool = False, **compiled: Any) -> Any:
    """Build a compiled model of a picture, a number, a word, an int64 and a float64."""
    picture = keras.Input((SIDE, SIDE, 1), name="picture")
    age = keras.Input((1,), name="age")
    city = keras.Input((1,), dtype="string", name="city")
    number = keras.Input((), dtype="int64", name="number")
    exact = keras.Input((1,), dtype="float64", name="exact")
    deep = layers.Conv2D(2, 3, activation="tanh", kernel_initializer=glorot(1))(picture)
    word = layers.StringLookup(vocabulary=list(CITIES), output_mode="one_hot")(city)
    near = layers.Reshape((1,))(keras.ops.cast(number - BIG, "float32"))
    part = keras.ops.cast(exact - 2.0**30, "float32")
    wide = [layers.Flatten()(deep), age, word, near / ROWS, part]
    joined = layers.Dense(4, activation="tanh", kernel_initializer=glorot(2))(
        layers.Concatenate()(wide)
    )
    price = layers.Dense(1, name="price", kernel_initializer=glorot(3))(joined)
    kind = layers.Dense(3, "softmax", name="kind", kernel_initializer=glorot(4))(joined)
    inputs = [picture, age, city, number, exact]
    if as_mappings:
        model = keras.Model(dict(zip(INPUTS, inputs, strict=True)), {"price": price, "kind": kind})
    else:
        model = keras.Model(inputs, [price, kind])
    settings = {"optimizer": keras.optimizers.SGD(0.1, momentum=0.5), **COMPILED, **compiled}
    model.compile(**settings)
    return model


COMPILED: dict[str, Any] = {
    "loss": {"price": "mse", "kind": "sparse_categorical_crossentropy"},
    "loss_weights": {"price": 0.25, "kind": 2.0},
    "metrics": {"kind": ["accuracy"], "price": "mae"},
    "weighted_metrics": {"price": ["mse"]},
}


def inputs_of(columns: dict[str, Any], rows: Any) -> dict[str, Any]:
    """Return what plain Keras is called with, by input."""
    return {
        "picture": (columns["pixels"][rows] / np.float32(255)).reshape(-1, SIDE, SIDE, 1),
        "age": columns["age"][rows, None],
        "city": columns["city"][rows, None],
        "number": columns["id"][rows],
        "exact": columns["measured"][rows, None],
    }


def labels_of(columns: dict[str, Any], rows: Any) -> dict[str, Any]:
    return {"price": columns["price"][rows, None], "kind": columns["class"][rows, None]}


def dataset(
    columns: dict[str, Any], rows: Any, batch: int, *, weighted: bool, as_mappings: bool = False
) -> Any:
    """Return batches for ``keras.Model.fit``, which would make float32 of arrays of float64."""
    import tensorflow as tf

    x, y = inputs_of(columns, rows), labels_of(columns, rows)
    x = {name: tf.constant(list(v) if v.dtype == object else v) for name, v in x.items()}
    parts: tuple[Any, ...] = (x, y) if as_mappings else (tuple(x.values()), tuple(y.values()))
    if weighted:
        parts += (columns["w"][rows],)
    return tf.data.Dataset.from_tensor_slices(parts).batch(batch)


def key_order(model: Any, frame: DataFrame, **optional: Any) -> list[int]:
    """Return the numbers of the training rows in the order of their keys.

    Args:
        model: The model.
        frame: The rows of a fit.
        optional: Columns of weights and of validation rows; see `Columns`.
    """
    config = model.to_json()
    ports = input_ports(config)
    columns = Columns(
        tuple(FEATURES[port.name] for port in ports),
        tuple(LABELS[name] for name in output_names(config)),
        **optional,
    )
    settings = FitSettings(seed=SEED, categorical=False)
    keyed, _ = training_frame(frame, Selection.of(columns, settings, ports, dtype="float64"))
    position = f"features_{[port.name for port in ports].index('number')}"
    rows = keyed.where("NOT validation").orderBy("key").select(position).collect()
    return [row[0][0] - BIG for row in rows]


def batches(order: Sequence[int], *, workers: int, epoch: int) -> list[list[int]]:
    """Return the rows of each step of all workers together, by their numbers."""
    ranges = row_ranges(share(len(order), workers))
    rows = [
        [order[part.start + i] for i in epoch_order(len(part), seed=SEED, worker=w, epoch=epoch)]
        for w, part in enumerate(ranges)
    ]
    steps = max(-(-len(part) // BATCH) for part in rows)
    return [
        [row for part in rows for row in part[step * BATCH : (step + 1) * BATCH]]
        for step in range(steps)
    ]


def moved_alike(ours: Any, plain: Any, before: Any) -> float:
    """Return the largest difference of weights, relative to the largest distance moved."""
    distance = max(np.abs(a - b).max() for a, b in zip(plain, before, strict=True))
    difference = max(np.abs(a - b).max() for a, b in zip(ours, plain, strict=True))
    return float(difference / distance)


def predictions(model: GlassesModel, frame: DataFrame, *columns: str) -> list[Any]:
    """Return the columns of predictions as arrays ``(rows, numbers)``, ordered by ``id``."""
    rows = model.transform(frame).orderBy("id").select(*columns).collect()
    return [np.array([np.ravel(row[name]) for row in rows]) for name in columns]
