"""Milliseconds of one training step of the CNN, with and without the rewrite of its layers.

    python benchmarks/bench_step.py [--batch 128] [--rounds 20]

On one thread, as a worker on one core has it: the gradient of a batch of the published
experiment's CNN, in float32 and bfloat16, round by round in turns, least and median.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any
from unittest import mock

import numpy as np

from environment import describe, write_result
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.worker import steps
from glasses_spark.training.worker.spool import RowFormat

SIDE = 128


def main() -> None:
    arguments = _arguments()
    import_keras(threads=1)
    contenders = {
        f"{precision}, {name}": _step(precision, arguments.batch, rewritten=name == "rewritten")
        for precision in ("float32", "bfloat16")
        for name in ("as built", "rewritten")
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(arguments.rounds):
        for name, step in contenders.items():
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
    table = {
        name: {
            "least_ms": round(1e3 * min(s), 1),
            "median_ms": round(1e3 * statistics.median(s), 1),
        }
        for name, s in seconds.items()
    }
    path = write_result("step", describe("step", vars(arguments)) | {"table": table})
    print(table, path)


def _step(precision: str, batch: int, *, rewritten: bool) -> Any:
    from glasses_spark import build_cnn

    model = build_cnn()
    spec = steps.ModelSpec(
        config=model.to_json(),
        loss="binary_crossentropy",
        metrics=("accuracy",),
        optimizer="adam",
        precision=precision,
    )
    pixels = RowFormat("uint8", SIDE * SIDE, 1, "float32")
    with mock.patch.object(steps, "rewrite", steps.rewrite if rewritten else lambda model: None):
        made = steps.Steps(spec, pixels)
    generator = np.random.default_rng(0)
    x = generator.integers(0, 256, (batch, SIDE * SIDE)).astype(np.uint8)
    y = generator.integers(0, 2, (batch, 1)).astype(np.float32)
    weight = np.ones(batch, np.float32)
    weights = made.read()
    for _ in range(2):
        made.gradient(weights, x, y, weight)
    return lambda: made.gradient(weights, x, y, weight)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=20)
    return parser.parse_args()


if __name__ == "__main__":
    main()
