"""Time that each start-up optimization saves in a whole job.

    python benchmarks/bench_startup.py [--images 300] [--rounds 5] [--pictures FOLDER]

Runs `glasses-spark train` with an empty pixel store: with all optimizations of
`glasses_spark.runtime.startup`, without one of them, and without the four small ones. A round
runs each of these once, and the next round runs them in the opposite order.
docs/performance.md lists what each of them does and risks.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from bench_end_to_end import draw_pictures, lay_out, our_commands, warm_up
from environment import describe, write_result
from glasses_spark.runtime.startup import Optimization

ALL_ON = "all on"
SMALL = (
    Optimization.TASK_START,
    Optimization.BARE_KERAS,
    Optimization.QUICK_EXIT,
    Optimization.PAUSE_GC,
)


def main() -> None:
    arguments = _arguments()
    variants: dict[str, dict[str, str]] = {ALL_ON: {}}
    variants |= {optimization.name: {optimization: "0"} for optimization in Optimization}
    variants["the small ones"] = dict.fromkeys(SMALL, "0")
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    with tempfile.TemporaryDirectory(dir=arguments.pictures) as folder:
        pictures = arguments.pictures or Path(folder, "pictures")
        draw_pictures(pictures, arguments.images)
        warm_up(pictures, Path(folder, "warm-up"))
        root = Path(folder, "job")
        lay_out(pictures, root, arguments.images)
        for number in range(arguments.rounds):
            for name in list(variants)[:: -1 if number % 2 else 1]:
                seconds[name].append(_seconds_of_job(root, variants[name]))
                print(name, seconds[name][-1], flush=True)
    settings = {key: value for key, value in vars(arguments).items() if key != "pictures"}
    print(write_result("startup", describe("startup", settings) | {"table": _table(seconds)}))


def _seconds_of_job(root: Path, switches: Mapping[str, str]) -> float:
    shutil.rmtree(root / "store", ignore_errors=True)
    began = time.monotonic()
    subprocess.run(
        our_commands(root)["glasses_spark"],
        env=os.environ | switches,
        capture_output=True,
        check=True,
        cwd=root,
    )
    return round(time.monotonic() - began, 2)


def _table(seconds: Mapping[str, list[float]]) -> dict[str, dict[str, object]]:
    base = statistics.median(seconds[ALL_ON])
    return {
        name: {
            "seconds": runs,
            "median_s": statistics.median(runs),
            "saved_s": round(statistics.median(runs) - base, 1),
            "saved_percent": round(100 * (statistics.median(runs) / base - 1), 1),
        }
        for name, runs in seconds.items()
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=Path, help="folder that keeps the pictures for later")
    return parser.parse_args()


if __name__ == "__main__":
    main()
