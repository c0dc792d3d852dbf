"""Samples per second of plain Keras, of Elephas as shipped, and of each mode and frequency.

    python benchmarks/bench_training.py [--rows 2560] [--epochs 10] [--repeats 3] [--elephas]
    python benchmarks/bench_training.py --result checkpoints \
        --ways synchronous/batch synchronous/batch/checkpoints
    python benchmarks/bench_training.py --model resnet --rows 1280 --result training_resnet

All train the same model on the same rows and cores, in turns, so that a slow moment of the machine
affects all of them: the CNN of the published experiment, a residual network or a transformer
(``training_models.py``). The speed is that of the median epoch after
the first. Start-up is the time to the end of the first epoch minus a median epoch. A later
fit in the same Spark session reuses the Python workers. Waiting is the share of the workers'
time after the first epoch in which they wait for the server.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession

from environment import describe, write_result
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.session import spark_session
from training_models import SIDE, TASKS, Task

BATCH = 128
# Mode, frequency and options. The first fit includes the start of the
# workers.
WAYS = [
    f"{mode}/{frequency}"
    for mode in ("synchronous", "asynchronous", "hogwild")
    for frequency in ("batch", "epoch")
] + [
    "synchronous/batch/bfloat16",
    "synchronous/epoch/bfloat16",
    "asynchronous/batch/bfloat16",
]

WAYS_HELP = "options: bfloat16, scaled_rate, and checkpoints, which writes one each epoch"


def main() -> None:
    arguments = _arguments()
    task = TASKS[arguments.model]
    x, labels = task.rows(np.random.default_rng(0), arguments.rows)
    with spark_session(master=f"local[{arguments.workers}]") as spark:
        frame = _frame(spark, x, labels)
        contenders: dict[str, Callable[[Any], Any]] = {
            "keras": lambda watch: _fit_keras(task, x, labels, arguments.epochs, watch)
        }
        for way in arguments.ways:
            contenders[way] = _ours(task, frame, way, arguments)
        if arguments.elephas:
            contenders["elephas as shipped"] = _elephas(frame, arguments)
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
        for number in range(arguments.repeats):
            for name, fit in contenders.items():
                rounds[name].append(_measure(fit, arguments.rows))
                print(number + 1, name, rounds[name][-1], flush=True)
    _report(arguments, rounds)


def _measure(fit: Callable[[Any], Any], rows: int) -> dict[str, float]:
    keras = import_keras()
    ends: list[float] = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter())
    )
    start = time.perf_counter()
    history = fit(watch)
    result = {"total_s": time.perf_counter() - start}
    if ends:  # Elephas does not report epochs
        epoch = statistics.median(b - a for a, b in pairwise(ends))
        result |= {"samples_per_second": rows / epoch, "startup_s": ends[0] - start - epoch}
    if history:
        shares = [share for epoch in history[1:] for share in epoch["workers"]]
        waited = sum(share["waiting_seconds"] for share in shares)
        result["waiting"] = waited / sum(share["seconds"] for share in shares)
    return result


def _fit_keras(task: Task, x: Any, labels: Any, epochs: int, watch: Any) -> None:
    if x.dtype == np.uint8:
        x = x[..., np.newaxis].astype(np.float32) / 255
    task.build().fit(x, labels, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=[watch])


def _ours(task: Task, frame: DataFrame, way: str, arguments: Any) -> Callable[[Any], Any]:
    from glasses_spark import build_estimator

    mode, frequency, *options = way.split("/")
    checkpoints = arguments.checkpoints if "checkpoints" in options else ""

    def fit(watch: Any) -> Any:
        for file in Path(checkpoints).glob("checkpoint-*") if checkpoints else ():
            file.unlink()
        fitted = build_estimator(
            task.build(),
            arguments.epochs,
            BATCH,
            categorical=False,
            num_workers=arguments.workers,
            featuresCol="features",
            mode=mode,
            frequency=frequency,
            precision="bfloat16" if "bfloat16" in options else "float32",
            asynchronous_rule="scaled_rate" if "scaled_rate" in options else "shared_batch",
            checkpoint_dir=checkpoints,
            callbacks=[watch],
        ).fit(frame)
        return fitted.history

    return fit


def _elephas(frame: DataFrame, arguments: Any) -> Callable[[Any], Any]:
    """Return the same fit by the estimator of Elephas, which trains synchronously by epoch."""
    from elephas.ml_model import ElephasEstimator

    from glasses_spark import build_cnn
    from glasses_spark.preprocessing.features import pixels_to_features

    keras = import_keras()
    cnn = build_cnn()
    flat = keras.Sequential([keras.Input((SIDE * SIDE,)), keras.layers.Reshape((SIDE, SIDE, 1))])
    for layer in cnn.layers:
        flat.add(layer)
    estimator = ElephasEstimator(
        keras_model_config=flat.to_json(),
        optimizer_config=keras.optimizers.serialize(cnn.optimizer),
        loss="binary_crossentropy",
        metrics=["accuracy"],
        categorical=False,
        epochs=arguments.epochs,
        batch_size=BATCH,
        num_workers=arguments.workers,
        mode="synchronous",
        validation_split=0.0,
        verbose=0,
    )
    # Elephas needs vectors of doubles. They are computed from the same cached pixels as part of
    # the fit.
    pixels = frame.withColumnRenamed("features", "pixels")
    rows = pixels_to_features(pixels).select("features", "label")

    def fit(watch: Any) -> None:
        estimator.fit(rows)

    return fit


def _frame(spark: SparkSession, x: Any, labels: Any) -> DataFrame:
    """Return the rows: pixels as bytes, and numbers as arrays."""
    is_pixels = x.dtype == np.uint8
    flat = x.reshape(len(x), -1)
    features = (
        pa.array([row.tobytes() for row in flat], pa.binary())
        if is_pixels
        else pa.FixedSizeListArray.from_arrays(pa.array(flat.ravel()), flat.shape[1])
    )
    with tempfile.TemporaryDirectory() as folder:
        table = pa.table({"features": features, "label": pa.array(labels, pa.float64())})
        pq.write_table(table, f"{folder}/rows.parquet")
        frame = spark.read.parquet(folder).repartition(8).cache()
        frame.count()
    return frame


def _report(arguments: Any, rounds: dict[str, list[dict[str, float]]]) -> None:
    def median(name: str, key: str) -> float | None:
        values = [fit[key] for fit in rounds[name] if key in fit]
        return round(statistics.median(values), 3) if values else None

    keras = median("keras", "samples_per_second") or 0.0
    table = {}
    for name, fits in rounds.items():
        later = [fit["startup_s"] for fit in fits[1:] if "startup_s" in fit]
        speed = median(name, "samples_per_second")
        table[name] = {
            "samples_per_second": speed,
            "ratio_to_keras": round(speed / keras, 3) if speed else None,
            "startup_first_s": fits[0].get("startup_s"),
            "startup_later_s": statistics.median(later) if later else None,
            "total_s": median(name, "total_s"),
            "waiting": median(name, "waiting"),
        }
    settings = vars(arguments) | {"batch_size": BATCH}
    result = describe("training", settings) | {"table": table, "rounds": rounds}
    path = write_result(arguments.result, result)
    columns = list(next(iter(table.values())))
    print(f"\n{'':30}" + "".join(f"{column:>20}" for column in columns))
    for name, row in table.items():
        cells = ("" if row[c] is None else f"{row[c]:.2f}" for c in columns)
        print(f"{name:30}" + "".join(f"{cell:>20}" for cell in cells))
    print(path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2560)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--model", choices=TASKS, default="cnn")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--ways", nargs="+", default=WAYS, metavar="MODE/FREQUENCY[/OPTION]", help=WAYS_HELP
    )
    parser.add_argument("--checkpoints", default="/tmp/checkpoints", help="folder for them")
    parser.add_argument("--result", default="training", help="name of the result file")
    parser.add_argument("--elephas", action="store_true", help="also run Elephas as shipped")
    arguments = parser.parse_args()
    if arguments.elephas and arguments.model != "cnn":
        parser.error("--elephas is for --model cnn")
    return arguments


if __name__ == "__main__":
    main()
