"""Peak memory of the training workers and of the driver, as the rows grow.

    python benchmarks/bench_memory.py [--rows 2560] [--factor 8] [--workers 2]

Fits the CNN of the published experiment on so many rows, and on ``factor``
times as many, each in a Spark of its own, one epoch each. Peak memory is the
most that a process was seen to hold of its own (`RssAnon`), ten times a second;
the pages of the rows' file are the kernel's, which drops them when it needs room.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from environment import describe, write_result

SIDE = 128
BATCH = 128


def main() -> None:
    arguments = _arguments()
    if arguments.child:
        print(json.dumps(_fit(arguments)))
        return
    found = []
    for rows in (arguments.rows, arguments.rows * arguments.factor):
        command = [sys.executable, __file__, "--child", "--rows", str(rows)]
        done = subprocess.run(
            [*command, "--workers", str(arguments.workers)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(done.stderr[-2000:])
        found.append(json.loads(done.stdout.splitlines()[-1]))
        print(found[-1], flush=True)
    settings = {key: value for key, value in vars(arguments).items() if key != "child"}
    ratios = {
        key: round(found[1][key] / found[0][key], 3) for key in ("worker_peak_mb", "driver_peak_mb")
    }
    result = describe("memory", settings) | {"runs": found, "ratio": ratios}
    print(ratios, write_result("memory", result))


def _fit(arguments: Any) -> dict[str, Any]:
    from pyspark.sql import functions as F

    from glasses_spark import build_cnn, build_estimator
    from glasses_spark.session import spark_session

    with spark_session(master=f"local[{arguments.workers}]") as spark, _Watch() as watch:
        # Made by Spark itself, row by row: random bytes, the same on each reading.
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
    return {
        "rows": arguments.rows,
        "spool_mb": round(arguments.rows * SIDE * SIDE / 2**20 / arguments.workers, 1),
        "worker_peak_mb": round(max(watch.workers.values()) / 1024, 1),
        "driver_peak_mb": round(watch.driver / 1024, 1),
    }


class _Watch:
    """Looks at the memory of this process and of Spark's Python workers, in KiB."""

    def __init__(self) -> None:
        self.driver = 0
        self.workers: dict[int, int] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> _Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.1):
            self.driver = max(self.driver, _held(os.getpid()))
            for pid in _python_workers():
                self.workers[pid] = max(self.workers.get(pid, 0), _held(pid))


def _python_workers() -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        with suppress(OSError):
            if folder.name.isdigit() and b"pyspark.daemon" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def _held(pid: int) -> int:
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1])
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2560)
    parser.add_argument("--factor", type=int, default=8)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
