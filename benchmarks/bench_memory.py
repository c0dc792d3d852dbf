"""Peak memory of the workers and of the driver as the number of rows grows.

    python benchmarks/bench_memory.py [--rows 2560] [--factor 8] [--workers 2]

Fits the CNN of the published experiment for one epoch on ``rows`` rows and on ``factor``
times as many, each in a new Spark. Peak memory is the largest sum of the anonymous memory
(`RssAnon`) of all processes of a kind. It excludes the pages of the spooled rows, which the
kernel can drop. Workers include the processes that they are forked from.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from environment import describe, write_result
from process_tree import run_watched

SIDE = 128
BATCH = 128


def main() -> None:
    arguments = _arguments()
    if arguments.child:
        _fit(arguments)
        return
    runs = []
    for rows in (arguments.rows, arguments.rows * arguments.factor):
        command = [sys.executable, str(Path(__file__).resolve()), "--child", "--rows", str(rows)]
        usage = run_watched([*command, "--workers", str(arguments.workers)], folder=Path.cwd())
        if usage.code:
            raise SystemExit(usage.errors[-2000:])
        peaks = {kind: usage.peak_by_kind_mb[kind] for kind in ("python workers", "driver")}
        runs.append(
            {
                "rows": rows,
                "spool_mb": round(rows * SIDE * SIDE / 2**20 / arguments.workers, 1),
                **{f"{kind.replace(' ', '_')}_peak_mb": round(mb, 1) for kind, mb in peaks.items()},
            }
        )
        print(runs[-1], flush=True)
    settings = {key: value for key, value in vars(arguments).items() if key != "child"}
    ratios = {
        key: round(runs[1][key] / runs[0][key], 3)
        for key in ("python_workers_peak_mb", "driver_peak_mb")
    }
    result = describe("memory", settings) | {"runs": runs, "ratio": ratios}
    print(ratios, write_result("memory", result))


def _fit(arguments: Any) -> None:
    from pyspark.sql import functions as F

    from glasses_spark import build_cnn, build_estimator
    from glasses_spark.runtime.session import spark_session

    with spark_session(master=f"local[{arguments.workers}]") as spark:
        # Spark generates the rows: random bytes, the same each time.
        noise = F.concat(*(F.sha2(F.concat_ws(":", "id", F.lit(part)), 512) for part in range(128)))
        frame = spark.range(arguments.rows).select(
            noise.cast("binary").alias("pixels"), (F.col("id") % 2).cast("double").alias("label")
        )
        build_estimator(
            build_cnn(),
            1,
            BATCH,
            categorical=False,
            num_workers=arguments.workers,
            featuresCol="pixels",
            mode="synchronous",
        ).fit(frame)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2560)
    parser.add_argument("--factor", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
