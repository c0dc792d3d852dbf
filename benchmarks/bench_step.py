"""Milliseconds of one training step of the CNN, with each setting of `training.cpu_kernels`.

    python benchmarks/bench_step.py [--batch 128] [--rounds 20]

Measures the gradient of a batch on one thread, in float32 and bfloat16, in turns.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from environment import describe, write_result
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.model_spec import ModelSpec
from glasses_spark.training.worker.spool import RowField, RowFormat
from glasses_spark.training.worker.steps import Steps

SIDE = 128


def main() -> None:
    arguments = _arguments()
    import_keras(threads=1)
    contenders = {
        f"{precision}, {kernels}": _make_step(precision, kernels, arguments.batch)
        for precision in ("float32", "bfloat16")
        for kernels in ("keras", "auto")
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(arguments.rounds):
        for name, step in contenders.items():
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
    table = {
        name: {
            "least_ms": round(1e3 * min(times), 1),
            "median_ms": round(1e3 * statistics.median(times), 1),
        }
        for name, times in seconds.items()
    }
    path = write_result("step", describe("step", vars(arguments)) | {"table": table})
    print(table, path)


def _make_step(precision: str, cpu_kernels: str, batch: int) -> Callable[[], Any]:
    from glasses_spark import build_cnn

    spec = ModelSpec(
        config=build_cnn().to_json(),
        loss="binary_crossentropy",
        metrics=("accuracy",),
        optimizer="adam",
        precision=precision,
        cpu_kernels=cpu_kernels,
    )
    steps = Steps(
        spec, RowFormat((RowField("uint8", SIDE * SIDE),), (RowField("float32", 1),), "float32")
    )
    generator = np.random.default_rng(0)
    x = generator.integers(0, 256, (batch, SIDE * SIDE)).astype(np.uint8)
    y = generator.integers(0, 2, (batch, 1)).astype(np.float32)
    weight = np.ones(batch, np.float32)
    weights = steps.read()
    for _ in range(2):
        steps.gradient(weights, [x], [y], weight)
    return lambda: steps.gradient(weights, [x], [y], weight)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=20)
    return parser.parse_args()


if __name__ == "__main__":
    main()
