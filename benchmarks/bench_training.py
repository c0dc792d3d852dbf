"""Samples a second of plain Keras, of Elephas as shipped, and of our six ways to train.

    python benchmarks/bench_training.py [--rows 2560] [--epochs 5] [--repeats 3] [--elephas]

All train the CNN of the published experiment on the same rows and cores, one
after the other, round by round, so that a slow moment of the machine falls on
all of them. Steady state is the median epoch after the first; start-up is the
time from the call to the end of the first epoch, less one such epoch. A second
fit in the same Spark session finds its Python workers started.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession

from glasses_spark.backend import import_keras
from glasses_spark.session import spark_session

BATCH = 128
SIDE = 128
MODES = ("synchronous", "asynchronous", "hogwild")
FREQUENCIES = ("batch", "epoch")
RESULTS = Path(__file__).parent / "results"


def main() -> None:
    arguments = _arguments()
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, arguments.rows).astype(np.float32)
    pixels = _pictures(generator, labels)
    with spark_session(master=f"local[{arguments.workers}]") as spark:
        frame = _frame(spark, pixels, labels)
        contenders: dict[str, Callable[[Any], None]] = {
            "keras": lambda watch: _fit_keras(pixels, labels, arguments.epochs, watch)
        }
        for mode in MODES:
            for frequency in FREQUENCIES:
                contenders[f"{mode}/{frequency}"] = _ours(frame, mode, frequency, arguments)
        rounds: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
        for number in range(arguments.repeats):
            for name, fit in contenders.items():
                rounds[name].append(_measure(fit, arguments.rows))
                print(number + 1, name, rounds[name][-1], flush=True)
        elephas = _elephas(frame, arguments) if arguments.elephas else None
    _report(arguments, rounds, elephas)


def _measure(fit: Callable[[Any], None], rows: int) -> dict[str, float]:
    keras = import_keras()
    ends: list[float] = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter())
    )
    start = time.perf_counter()
    fit(watch)
    total = time.perf_counter() - start
    epoch = statistics.median(b - a for a, b in pairwise(ends))
    return {
        "samples_per_second": rows / epoch,
        "startup_s": ends[0] - start - epoch,
        "total_s": total,
    }


def _fit_keras(pixels: Any, labels: Any, epochs: int, watch: Any) -> None:
    from glasses_spark import build_cnn

    x = pixels.reshape(-1, SIDE, SIDE, 1).astype(np.float32) / 255
    build_cnn().fit(x, labels, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=[watch])


def _ours(frame: DataFrame, mode: str, frequency: str, arguments: Any) -> Callable[[Any], None]:
    from glasses_spark import build_cnn, build_estimator

    def fit(watch: Any) -> None:
        build_estimator(
            build_cnn(),
            arguments.epochs,
            BATCH,
            categorical=False,
            num_workers=arguments.workers,
            featuresCol="pixels",
            mode=mode,
            frequency=frequency,
            callbacks=[watch],
        ).fit(frame)

    return fit


def _elephas(frame: DataFrame, arguments: Any) -> float:
    """Seconds of Elephas' own estimator for the same fit; it trains synchronously by epoch."""
    from elephas.ml_model import ElephasEstimator

    from glasses_spark import build_cnn
    from glasses_spark.preprocessing.preprocess import pixels_to_features

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
        validation_split=0.0,
    )
    start = time.perf_counter()
    estimator.fit(pixels_to_features(frame).select("features", "label"))
    return time.perf_counter() - start


def _pictures(generator: np.random.Generator, labels: Any) -> Any:
    """Noise with a bright bar where the label is 1: something to learn, at no cost."""
    pixels = generator.integers(0, 200, (len(labels), SIDE, SIDE)).astype(np.uint8)
    pixels[:, 50:60, 30:100] += (labels[:, None, None] * 50).astype(np.uint8)
    return pixels


def _frame(spark: SparkSession, pixels: Any, labels: Any) -> DataFrame:
    rows = [(bytearray(p.tobytes()), float(y)) for p, y in zip(pixels, labels, strict=True)]
    frame = spark.createDataFrame(rows, "pixels binary, label double").repartition(8).cache()
    frame.count()
    return frame


def _report(arguments: Any, rounds: dict[str, list[dict[str, float]]], elephas: Any) -> None:
    def median(name: str, key: str) -> float:
        return statistics.median(one[key] for one in rounds[name])

    keras = median("keras", "samples_per_second")
    table = {
        name: {
            "samples_per_second": round(median(name, "samples_per_second"), 1),
            "ratio_to_keras": round(median(name, "samples_per_second") / keras, 3),
            "startup_first_s": round(rounds[name][0]["startup_s"], 2),
            "startup_later_s": round(
                statistics.median(one["startup_s"] for one in rounds[name][1:] or rounds[name]), 2
            ),
            "total_s": round(median(name, "total_s"), 2),
        }
        for name in rounds
    }
    result = {
        "benchmark": "training",
        "settings": vars(arguments) | {"batch_size": BATCH},
        "machine": {
            "cores": len(os.sched_getaffinity(0)),
            "platform": platform.platform(),
            "packages": {n: version(n) for n in ("tensorflow", "keras", "pyspark", "elephas")},
        },
        "commit": _commit(),
        "table": table,
        "elephas_total_s": elephas,
        "rounds": rounds,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "training.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    print(f"\n{'':24}{'samples/s':>10}{'of Keras':>10}{'start-up':>10}{'later':>8}{'total':>8}")
    for name, row in table.items():
        print(
            f"{name:24}{row['samples_per_second']:10.0f}{row['ratio_to_keras']:10.2f}"
            f"{row['startup_first_s']:9.1f}s{row['startup_later_s']:7.1f}s{row['total_s']:7.1f}s"
        )
    if elephas is not None:
        print(f"{'elephas as shipped':24}{'':38}{elephas:7.1f}s")
    print(path)


def _commit() -> str:
    call = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(call, capture_output=True, text=True, check=False).stdout.strip()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2560)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--elephas", action="store_true", help="also Elephas as shipped, once")
    return parser.parse_args()


if __name__ == "__main__":
    main()
