"""Compare the forecasts of `glasses-spark advise` with runs.

    python benchmarks/bench_advise.py [--images 2400] [--size 256] [--epochs 3]

Runs `advise` on photo-like images, then some of the forecast runs, each as a process of its
own, and with --keras also plain Keras as in `bench_end_to_end.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from alternatives import run_keras
from bench_end_to_end import KERAS
from environment import describe, write_result
from pictures import photo_like_png

# Mode, frequency, workers, precision, and whether the pixel store is filled.
WAYS = (
    ("asynchronous", "batch", 2, "float32", False),
    ("synchronous", "batch", 2, "float32", True),
    ("asynchronous", "epoch", 1, "float32", True),
    ("asynchronous", "batch", 2, "bfloat16", True),
)
PICTURES = 64


def main() -> None:
    arguments = _arguments()
    if arguments.child:
        run_keras(Path(arguments.folder))
        return
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _lay_out(root, arguments)
        start = time.perf_counter()
        advised = json.loads(_output([*_command("advise", root, arguments), "--json"]))
        table: dict[str, Any] = {"advise_s": round(time.perf_counter() - start, 1)}
        table["answer"] = advised["advice"]["answer"]
        table["measured"] = advised["measured"]
        for way in WAYS[: arguments.ways]:
            name = f"{'/'.join(map(str, way[:4]))}{', store filled' if way[4] else ''}"
            table[name] = _run(way, root, arguments, advised["forecasts"])
            print(name, table[name], flush=True)
        if arguments.keras:
            table[KERAS] = _run_keras(root, advised["forecasts"])
            print(KERAS, table[KERAS], flush=True)
    result = describe("advise", vars(arguments)) | {"table": table}
    print(write_result(arguments.name, result))


def _run(way: tuple[Any, ...], root: Path, arguments: Any, forecasts: Any) -> dict[str, Any]:
    mode, frequency, workers, precision, stored = way
    predicted = next(
        row
        for row in forecasts
        if (row["way"], row["workers"], row["precision"])
        == (f"{mode}/{frequency}", workers, precision)
    )
    if not stored:
        shutil.rmtree(root / "store", ignore_errors=True)
    command = _command("train", root, arguments)
    for key, value in zip(("mode", "frequency", "num_workers", "precision"), way[:4], strict=True):
        command += ["--set", f"training.{key}={value}"]
    start = time.perf_counter()
    _output(command)
    seconds = time.perf_counter() - start
    metrics = json.loads((root / "run" / "metrics.json").read_text())
    history = json.loads((root / "run" / "history.json").read_text())
    # The first epoch includes tracing.
    epochs = [max(share["seconds"] for share in epoch["workers"]) for epoch in history[1:]]
    return _row("total", predicted["stored_s" if stored else "total_s"], seconds) | {
        **_row("epoch", predicted["epoch_s"], float(np.median(epochs))),
        **(
            {}
            if stored
            else _row("prepare", predicted["prepare_s"], metrics["timings"]["preprocess_s"])
        ),
        "timings": metrics["timings"],
    }


def _run_keras(root: Path, forecasts: Any) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", "keras", "--folder", str(root)]
    start = time.perf_counter()
    _output(command)
    return _row("total", forecasts[-1]["total_s"], time.perf_counter() - start)


def _row(name: str, predicted: float, actual: float) -> dict[str, float]:
    return {
        f"{name}_predicted_s": round(predicted, 2),
        f"{name}_actual_s": round(actual, 2),
        f"{name}_ratio": round(predicted / actual, 3),
    }


def _command(name: str, root: Path, arguments: Any) -> list[str]:
    settings = {
        "data.images": root / "faces",
        "data.labels": root / "labels.csv",
        "run.dir": root / "run",
        "store.dir": root / "store",
        "training.epochs": arguments.epochs,
    }
    program = str(Path(sys.executable).with_name("glasses-spark"))
    options = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    return [program, name, *options]


def _output(command: list[str]) -> str:
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode:
        raise RuntimeError(f"{command[:2]} failed: {process.stderr[-600:]}")
    return process.stdout


def _lay_out(root: Path, arguments: Any) -> None:
    """Write photo-like images by number for Spark and, as links, by class for Keras."""
    for name in ("faces", "classes/0", "classes/1"):
        (root / name).mkdir(parents=True)
    lines = ["index,label"]
    for number in range(arguments.images):
        path = root / "faces" / f"face-{number}.png"
        if number < PICTURES:
            path.write_bytes(photo_like_png(arguments.size, number))
        else:
            os.link(root / "faces" / f"face-{number % PICTURES}.png", path)
        os.link(path, root / "classes" / str(number % 2) / path.name)
        lines.append(f"{number},{number % 2}.0")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=2400)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--ways", type=int, default=len(WAYS), help="number of runs")
    parser.add_argument("--keras", action="store_true", help="also run plain Keras for ten epochs")
    parser.add_argument("--name", default="advise", help="name of the result file")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
