"""Scoring without Spark: runtimes against Keras, and `predict` as whole processes.

    python benchmarks/bench_scorer.py [--rows 4096] [--images 1000] [--repeats 5]

The CNN of the published experiment scores pixels in batches: `keras.Model.predict`, OpenVINO and
ONNX Runtime in turns, median of the repeats. Then `glasses-spark predict` scores one photo-like
PNG of 1024 x 1024, and many, from the start of the process to its exit. Beside the many: the time
of the decoder alone for these files on one core, divided by the number of cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from environment import describe, write_result
from glasses_spark import build_cnn, import_keras
from glasses_spark.preprocessing.decoding.decode import decode
from glasses_spark.scoring.export import export_model, with_pixel_input
from glasses_spark.scoring.model_metadata import ModelMetadata
from glasses_spark.scoring.runtimes import open_runtime
from pictures import photo_like_png

SIDE = 128
BATCHES = (32, 128, 512)
DIFFERENT_PHOTOS = 93


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        network = with_pixel_input(build_cnn(seed=0))
        metadata = ModelMetadata(height=SIDE, width=SIDE, takes_pixels=True)
        export_model(network, path, metadata, format="onnx")
        result = {
            "milliseconds_a_row": _runtimes(network, path.read_bytes(), arguments),
            "processes": _processes(path, Path(folder) / "photos", arguments),
        }
    print(write_result("scorer", describe("scorer", vars(arguments)) | result))


def _runtimes(network: Any, content: bytes, arguments: argparse.Namespace) -> dict[str, Any]:
    import_keras()
    rows = np.random.default_rng(0).integers(0, 256, (arguments.rows, SIDE, SIDE, 1), np.uint8)
    openvino = open_runtime(content, runtime="openvino")
    onnx = open_runtime(content, runtime="onnx")
    result: dict[str, Any] = {}
    for size in BATCHES:

        def keras(size: int = size) -> None:
            network.predict(rows, batch_size=size, verbose=0)

        def batches(runtime: Callable[[Any], Any], size: int = size) -> None:
            for start in range(0, len(rows), size):
                runtime([rows[start : start + size]])

        ways = {
            "keras": keras,
            "openvino": lambda size=size: batches(openvino, size),
            "onnx": lambda size=size: batches(onnx, size),
        }
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(arguments.repeats + 1):
            for name, way in ways.items():
                began = time.perf_counter()
                way()
                seconds[name].append(time.perf_counter() - began)
        # The first round warms up.
        result[str(size)] = {
            name: round(1000 * statistics.median(times[1:]) / len(rows), 4)
            for name, times in seconds.items()
        }
        print(size, result[str(size)], flush=True)
    return result


def _processes(model: Path, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    folder.mkdir()
    different = min(DIFFERENT_PHOTOS, arguments.images)
    contents = [photo_like_png(1024, number) for number in range(different)]
    for number in range(arguments.images):
        place = folder / f"{number}.png"
        if number < different:
            place.write_bytes(contents[number])
        else:
            place.hardlink_to(folder / f"{number % different}.png")
    command = [sys.executable, "-m", "glasses_spark", "predict", "--model", str(model), "--csv"]
    first = [_seconds([*command, str(folder / "0.png")]) for _ in range(arguments.repeats)]
    many = [_seconds([*command, str(folder)]) for _ in range(max(1, arguments.repeats // 2))]
    began = time.perf_counter()
    for content in contents:
        decode(content)
    one_core = (time.perf_counter() - began) / different
    cores = len(os.sched_getaffinity(0))
    result = {
        "first_answer_s": round(statistics.median(first), 3),
        "images": arguments.images,
        "many_s": round(statistics.median(many), 2),
        "decoder_alone_s": round(one_core * arguments.images / cores, 2),
    }
    result["many_to_decoder"] = round(result["many_s"] / result["decoder_alone_s"], 2)
    print(result, flush=True)
    return result


def _seconds(command: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4096)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
