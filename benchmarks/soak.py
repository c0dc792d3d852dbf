"""Soak: hours of prepare, train, score and cross-validate, in one process and as processes.

    python benchmarks/soak.py [--minutes 120]

After each round the memory, threads, descriptors and listening ports of the driver, its JVM and
the Python workers are recorded, with the files in the temporary folder. ``results/soak.json`` has
the figures, and how much they grew per fit from the second quarter of the rounds to the last one;
in the first quarter caches fill. ``results/soak_one_hour.json`` is from after the growth of the
training workers was cured, see ``runtime/kernel_cache.py``. Memory of the JVM is that of its live
objects, after a collection.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from environment import describe, write_result
from glasses_spark import Config, GlassesModel, GlassesPipeline
from glasses_spark.datasets.drawn.draw_faces import draw_faces
from glasses_spark.runtime.session import spark_session

ROOT = Path(__file__).parent.parent
FACES = 120

# Rounds of which one also runs the commands, each of which starts a JVM.
ROUNDS_OF_PROCESSES = 10


def main() -> None:
    arguments = _arguments()
    rounds: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        temporary = Path(folder) / "tmp"
        temporary.mkdir()
        # Before the JVM starts, so that it writes there as well.
        os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
        settings = _settings(Path(folder))
        with spark_session(master="local[2]") as spark:
            ends = time.monotonic() + 60 * arguments.minutes
            while time.monotonic() < ends:
                began = time.perf_counter()
                fits = _round(spark, Config.load(overrides=settings), Path(folder))
                if len(rounds) % ROUNDS_OF_PROCESSES == 0:
                    _commands(settings)
                spark.sparkContext._jvm.System.gc()
                gc.collect()
                figures = {"fits": fits, "seconds": round(time.perf_counter() - began, 1)}
                rounds.append(figures | _measure(spark, temporary))
                print(len(rounds), rounds[-1], flush=True)
        leftovers = sorted(path.name for path in temporary.iterdir())
    growth = _growth(rounds)
    result = {"growth_per_fit": growth, "leftovers": leftovers, "rounds": rounds}
    print(json.dumps(growth), leftovers)
    print(write_result("soak", describe("soak", vars(arguments)) | result))


def _settings(folder: Path) -> list[str]:
    labels = folder / "labels.csv"
    lines = (ROOT / "labels.csv").read_text().splitlines(keepends=True)
    labels.write_text("".join(lines[: FACES + 1]))
    draw_faces(labels, folder / "faces", size=64)
    return [
        f"data.images={folder / 'faces'}",
        f"data.labels={labels}",
        f"store.dir={folder / 'pixels'}",
        f"run.dir={folder / 'run'}",
        "image.height=32",
        "image.width=32",
        "training.epochs=2",
        "training.num_workers=2",
        "evaluation.folds=3",
    ]


def _round(spark: Any, config: Config, folder: Path) -> int:
    """Do all the work once, and return the number of fits."""
    pipeline = GlassesPipeline(config)
    pipeline.prepare(spark)
    result = pipeline.run(spark)
    result.predictions.unpersist()
    model = GlassesModel.load(f"file:{folder / 'run' / 'model'}")
    good = pipeline.preprocess(pipeline.load(spark)).good
    assert pipeline.predict(model, good).count()
    validated = pipeline.cross_validate(spark, folder / "folds")
    spark.catalog.clearCache()
    return 1 + len(validated.folds.results)


def _commands(settings: list[str]) -> None:
    overrides = [part for setting in settings for part in ("--set", setting)]
    for command in ("prepare", "train"):
        subprocess.run(
            [sys.executable, "-m", "glasses_spark", command, *overrides],
            check=True,
            capture_output=True,
        )


def _measure(spark: Any, temporary: Path) -> dict[str, float]:
    driver = psutil.Process()
    children = driver.children(recursive=True)
    jvms = [child for child in children if "java" in child.name()]
    workers = [child for child in children if "python" in child.name()]
    runtime = spark.sparkContext._jvm.Runtime.getRuntime()
    processes = [driver, *jvms, *workers]
    return {
        "driver_mb": _megabytes(driver),
        "jvm_mb": sum(map(_megabytes, jvms)),
        "jvm_live_mb": round((runtime.totalMemory() - runtime.freeMemory()) / 1e6, 1),
        "workers": len(workers),
        "workers_mb": sum(map(_megabytes, workers)),
        "threads": sum(process.num_threads() for process in processes),
        "descriptors": sum(process.num_fds() for process in processes),
        "ports": sum(
            connection.status == psutil.CONN_LISTEN
            for process in processes
            for connection in process.net_connections("tcp")
        ),
        "temporary_files": sum(1 for _ in temporary.rglob("*")),
    }


def _megabytes(process: psutil.Process) -> float:
    # The memory that only this process has: forked workers share most of theirs.
    text = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
    return round(int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1]) / 1024, 1)


def _growth(rounds: list[dict[str, Any]]) -> dict[str, float]:
    """Return the growth of each figure per fit, from the second quarter to the last one."""
    quarter = max(1, len(rounds) // 4)
    early, late = rounds[quarter : 2 * quarter], rounds[-quarter:]
    if not early:
        return {}
    fits = sum(each["fits"] for each in rounds) * (len(rounds) - 1.5 * quarter) / len(rounds)
    names = [name for name in rounds[0] if name not in ("fits", "seconds")]
    return {
        name: round(
            (statistics.median(r[name] for r in late) - statistics.median(r[name] for r in early))
            / fits,
            4,
        )
        for name in names
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=120)
    return parser.parse_args()


if __name__ == "__main__":
    main()
