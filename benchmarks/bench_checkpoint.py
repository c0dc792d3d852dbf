"""The cost of a checkpoint of the CNN, as a part of an epoch of plain Keras.

    python benchmarks/bench_checkpoint.py [--rows 1891] [--checkpoints 10]

Both are CPU seconds of this process, which hardly depend on what else the machine does: the
copy of the state, the archive with its checksum, and the file. In a fit, a thread writes the
checkpoint while the workers compute.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from environment import describe, write_result
from glasses_spark import build_cnn
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.session import spark_session
from glasses_spark.training.checkpoint.folder import CheckpointFolder
from glasses_spark.training.schedule import Schedule
from glasses_spark.training.server.calls import EpochDecision
from glasses_spark.training.server.coordinator import Coordinator
from glasses_spark.training.server.shared_weights import SharedWeights

BATCH = 128
SIDE = 128


def main() -> None:
    arguments = _arguments()
    import_keras()
    generator = np.random.default_rng(0)
    x = generator.random((arguments.rows, SIDE, SIDE, 1), np.float32)
    y = generator.integers(0, 2, arguments.rows).astype(np.float32)
    model = build_cnn(seed=0)
    model.fit(x[:BATCH], y[:BATCH], batch_size=BATCH, verbose=0)  # traces the model
    epoch = _cpu_seconds(lambda: model.fit(x, y, batch_size=BATCH, verbose=0))
    schedule = Schedule("synchronous", "batch", 1, BATCH, (arguments.rows,), (0,))
    weights = SharedWeights(model, workers=1, uses_gradients=True)
    coordinator = Coordinator(schedule, weights, state_size=4, stall_timeout=60)
    coordinator.begin(EpochDecision(stop=False, learning_rate=None))
    with spark_session(master="local[1]") as spark, tempfile.TemporaryDirectory() as location:
        folder = CheckpointFolder(spark, location)

        def write() -> None:
            state: Any = coordinator.state()
            folder.write({"fit": state.as_dict()}, state.arrays)

        write()
        checkpoint = statistics.median(_cpu_seconds(write) for _ in range(arguments.checkpoints))
    table = {
        "epoch_cpu_s": round(epoch, 3),
        "checkpoint_cpu_s": round(checkpoint, 4),
        "ratio": round(checkpoint / epoch, 5),
    }
    print(table)
    print(write_result("checkpoint", describe("checkpoint", vars(arguments)) | {"table": table}))


def _cpu_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1891, help="rows of an epoch")
    parser.add_argument("--checkpoints", type=int, default=10)
    return parser.parse_args()


if __name__ == "__main__":
    main()
