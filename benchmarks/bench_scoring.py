"""Rows per second of GlassesModel.transform, compared with Keras' predict.

    python benchmarks/bench_scoring.py [--rows 20000] [--repeats 3] [--workers 2]
        [--result scoring_runtimes]

All score the same rows with the same weights on the same cores, in turns: ``transform`` with each
``scoring_runtime``, and Keras. Keras has the rows in memory as float32. Spark reads them from
Parquet, as from a pixel store. The first round, in which models are compiled and Spark starts its
workers, is reported separately.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from environment import describe, write_result
from glasses_spark import GlassesModel, build_cnn
from glasses_spark.runtime.session import spark_session

SIDE = 128
BATCH = 256
OURS, KERAS = "glasses_spark", "keras predict"
RUNTIMES: dict[str, dict[str, str]] = {
    OURS: {},
    f"{OURS}, openvino": {"scoring_runtime": "openvino"},
    f"{OURS}, onnx": {"scoring_runtime": "onnx"},
    f"{OURS}, openvino, bfloat16": {
        "scoring_runtime": "openvino",
        "scoring_precision": "bfloat16",
    },
}


def main() -> None:
    arguments = _arguments()
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (arguments.rows, SIDE * SIDE)).astype(np.uint8)
    network = build_cnn()
    x = pixels.reshape(-1, SIDE, SIDE, 1).astype(np.float32) / 255
    fitted = GlassesModel(
        featuresCol="pixels",
        keras_model_config=network.to_json(),
        weights=network.get_weights(),
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        spark_session(master=f"local[{arguments.workers}]") as spark,
    ):
        _write(pixels, folder)
        rows = spark.read.parquet(folder)
        models = {
            name: fitted.copy({fitted.getParam(param): value for param, value in params.items()})
            for name, params in RUNTIMES.items()
        }
        seconds: dict[str, list[float]] = {name: [] for name in (KERAS, *models)}
        for _ in range(arguments.repeats + 1):
            seconds[KERAS].append(_timed(lambda: network.predict(x, batch_size=BATCH, verbose=0)))
            for name, model in models.items():
                seconds[name].append(_timed(lambda model=model: _score(model, rows)))
            print({name: round(times[-1], 2) for name, times in seconds.items()}, flush=True)
        few = fitted.transform(rows.where("id < 64")).select("id", "prediction").collect()
        ours = np.array([row.prediction[0] for row in sorted(few, key=lambda row: row.id)])
        if np.abs(ours - network.predict(x[:64], verbose=0)[:, 0]).max() > 1e-5:
            raise SystemExit("the predictions differ from those of Keras")
    table: dict[str, Any] = {
        name: {
            "first_s": round(times[0], 2),
            "rows_per_second": round(arguments.rows / statistics.median(times[1:]), 1),
        }
        for name, times in seconds.items()
    }
    for row in table.values():
        row["ratio_to_keras"] = round(row["rows_per_second"] / table[KERAS]["rows_per_second"], 3)
    result = describe("scoring", vars(arguments)) | {"table": table, "seconds": seconds}
    print(table, write_result(arguments.result, result))


def _score(model: GlassesModel, rows: Any) -> None:
    scored = model.transform(rows).select("id", "prediction")
    scored.write.format("noop").mode("overwrite").save()


def _write(pixels: Any, folder: str) -> None:
    """Write files of 128 rows, as a run that decodes does."""
    for first in range(0, len(pixels), 128):
        part = pixels[first : first + 128]
        table = pa.table(
            {
                "id": pa.array(range(first, first + len(part)), pa.int32()),
                "pixels": pa.array([row.tobytes() for row in part], pa.binary()),
            }
        )
        pq.write_table(table, f"{folder}/part-{first:06d}.parquet")


def _timed(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--result", default="scoring", help="name of the file in results/")
    return parser.parse_args()


if __name__ == "__main__":
    main()
