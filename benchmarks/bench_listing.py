"""Memory of the driver for many listed files.

    python benchmarks/bench_listing.py [--files 1000000] [--heap 2g]

Lists hard links to small PNG files with `GlassesPipeline.load`, which also joins their labels, and
counts the joined labels and the rows of files to decode. Nothing is decoded. Peaks are the largest
resident memory of the driver's Python process and of its JVM, which in local mode has the
executor's share as well. The live heap is that after a collection.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from environment import describe, write_result
from glasses_spark import Config, GlassesPipeline
from glasses_spark.reports.pictures import png
from glasses_spark.runtime.session import spark_session

# A file of ext4 has at most 65,000 names.
LINKS = 30_000


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        _lay_out(root, arguments.files)
        steps = _measure(root, arguments.heap)
    table = {"files": arguments.files, "steps": steps}
    table["live_heap_bytes_a_file"] = round(
        1e6 * (steps["labels"]["live_heap_mb"] - steps["start"]["live_heap_mb"]) / arguments.files
    )
    print(table)
    print(write_result("listing", describe("listing", vars(arguments)) | table))


def _lay_out(root: Path, files: int) -> None:
    (root / "faces").mkdir()
    source = root / "source-0.png"
    for number in range(files):
        if number % LINKS == 0:
            source = root / f"source-{number}.png"
            source.write_bytes(png(np.full((16, 16), number // LINKS % 256, np.uint8)))
        os.link(source, root / "faces" / f"face-{number}.png")
    with (root / "labels.csv").open("w") as labels:
        labels.write("index,label\n")
        labels.writelines(f"{number},{number % 2}.0\n" for number in range(files))


def _measure(root: Path, heap: str) -> dict[str, dict[str, float]]:
    config = Config.load(
        overrides=[
            f"data.images={root / 'faces'}",
            f"data.labels={root / 'labels.csv'}",
            f"store.dir={root / 'store'}",
            f"run.dir={root / 'run'}",
        ]
    )
    steps: dict[str, dict[str, float]] = {}
    with spark_session(master="local[2]", conf={"spark.driver.memory": heap}) as spark:
        began = time.perf_counter()

        def note(step: str) -> None:
            steps[step] = {"seconds": round(time.perf_counter() - began, 1), **_memory(spark)}
            print(step, steps[step], flush=True)

        note("start")
        dataset = GlassesPipeline(config).load(spark)
        note("listed")
        assert dataset.labels.count() == dataset.account.used
        note("labels")
        assert dataset.undecoded_files.count() == dataset.account.used
        note("files")
    return steps


def _memory(spark: Any) -> dict[str, float]:
    driver = psutil.Process()
    (jvm,) = (child for child in driver.children(recursive=True) if "java" in child.name())
    runtime = spark.sparkContext._jvm.Runtime.getRuntime()
    runtime.gc()
    return {
        "driver_peak_mb": _peak_mb(driver.pid),
        "jvm_peak_mb": _peak_mb(jvm.pid),
        "live_heap_mb": round((runtime.totalMemory() - runtime.freeMemory()) / 1e6),
    }


def _peak_mb(process: int) -> int:
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) // 1024


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1_000_000)
    parser.add_argument("--heap", default="2g", help="spark.driver.memory")
    return parser.parse_args()


if __name__ == "__main__":
    main()
