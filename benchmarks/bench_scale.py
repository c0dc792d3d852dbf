"""Time and peak memory of `prepare` and `train` for N to 8 N images.

    python benchmarks/bench_scale.py [--images 2500] [--size 64] [--heap 1g]

Runs `glasses-spark prepare` with a new store on N, 2 N, 4 N and 8 N different photo-like PNG
files, and `glasses-spark train` for one epoch on the first and the last store. Memory is the
largest sum of the anonymous memory (RssAnon) of all processes of a kind; pages that a process
shares with its fork count twice. The live heap of the JVM is the largest heap after a garbage
collection, from the JVM's log. A small warm-up run comes first.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from environment import describe, has_class_archive, write_result
from pictures import photo_like_png
from process_tree import run_watched

FACTORS = (1, 2, 4, 8)
WARM_UP_RUNS, WARM_UP_IMAGES = 3, 40
KINDS = ("driver", "jvm", "python workers")
# [1.234s][info][gc] GC(7) Pause Young (Normal) (G1 Evacuation Pause) 154M->37M(512M) 4.2ms
COLLECTION = re.compile(r"\d+M->(\d+)M\(\d+M\)")


def main() -> None:
    arguments = _arguments()
    counts = [factor * arguments.images for factor in FACTORS]
    prepared, trained = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _draw(folder / "pictures", counts[-1], arguments.size)
        _warm_up(folder, arguments.heap)
        for images in counts:
            _lay_out(folder / "pictures", folder / str(images), images)
            prepared.append(_measured("prepare", folder / str(images), images, arguments.heap))
            if images in (counts[0], counts[-1]):
                trained.append(_measured("train", folder / str(images), images, arguments.heap))
    seconds = [run["seconds"] for run in prepared]
    slope, start = np.polyfit(counts, seconds, 1)
    line = {
        "start_s": round(start, 2),
        "ms_an_image": round(1000 * slope, 3),
        # The largest relative distance of a measurement from the line.
        "off_by": round(float(np.abs(np.polyval((slope, start), counts) / seconds - 1).max()), 3),
    }
    grown = {
        command: {key: round(runs[-1][key] / runs[0][key], 2) for key in runs[0] if "_mb" in key}
        for command, runs in (("prepare", prepared), ("train", trained))
    }
    result = describe("scale", vars(arguments)) | {
        "prepare": prepared,
        "train": trained,
        "prepare_line": line,
        "grown": grown,
    }
    print(json.dumps({"prepare_line": line, "grown": grown}, indent=1))
    print(write_result("scale", result))


def _measured(command: str, root: Path, images: int, heap: str) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "data.images": root / "faces",
        "data.labels": root / "labels.csv",
        "store.dir": root / "store",
        "spark.conf.spark.driver.memory": heap,
    }
    if command == "train":
        settings |= {"run.dir": root / "run", "training.epochs": 1}
    call = [str(Path(sys.executable).with_name("glasses-spark")), command]
    for key, value in settings.items():
        call += ["--set", f"{key}={value}"]
    log = root / f"{command}-gc.log"
    # Not spark.driver.extraJavaOptions, which the session sets itself.
    usage = run_watched(call, folder=root, environment={"JDK_JAVA_OPTIONS": f"-Xlog:gc:file={log}"})
    if usage.code:
        raise SystemExit(f"{command} of {images} images failed: {usage.errors[-2000:]}")
    # Spark's launcher, another JVM, writes to the same log first.
    heaps = [int(size) for size in COLLECTION.findall(log.read_text())]
    result: dict[str, Any] = {
        "images": images,
        "seconds": round(usage.seconds, 2),
        "images_per_second": round(images / usage.seconds, 1),
        "cpu_s": round(usage.cpu_s, 1),
        "peak_mb": round(usage.peak_mb),
        "peak_shared_once_mb": round(usage.peak_shared_once_mb),
        **{f"{kind}_mb": round(usage.peak_by_kind_mb.get(kind, 0)) for kind in KINDS},
        "jvm_heap_after_collection_mb": max(heaps, default=0),
        "collections": len(heaps),
    }
    if command == "train":
        result["stages"] = json.loads((root / "run" / "metrics.json").read_text())["timings"]
    print(command, result, flush=True)
    return result


def _warm_up(folder: Path, heap: str) -> None:
    for number in range(1 if has_class_archive() else WARM_UP_RUNS):
        root = folder / f"warm-up-{number}"
        _lay_out(folder / "pictures", root, WARM_UP_IMAGES)
        _measured("train", root, WARM_UP_IMAGES, heap)
        shutil.rmtree(root)


def _draw(folder: Path, count: int, size: int) -> None:
    folder.mkdir()
    with ProcessPoolExecutor() as pool:
        tasks = [(folder, number, size) for number in range(count)]
        list(pool.map(_draw_one, tasks, chunksize=100))


def _draw_one(task: tuple[Path, int, int]) -> None:
    folder, number, size = task
    (folder / f"face-{number}.png").write_bytes(photo_like_png(size, number))


def _lay_out(pictures: Path, root: Path, images: int) -> None:
    (root / "faces").mkdir(parents=True)
    lines = ["index,label"]
    for number in range(images):
        name = f"face-{number}.png"
        (root / "faces" / name).hardlink_to(pictures / name)
        lines.append(f"{number},{number % 2}.0")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2500, help="N")
    parser.add_argument("--size", type=int, default=64, help="width and height of the PNG files")
    parser.add_argument("--heap", default="1g", help="spark.driver.memory")
    return parser.parse_args()


if __name__ == "__main__":
    main()
