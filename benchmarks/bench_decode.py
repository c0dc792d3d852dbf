"""Milliseconds to decode a PNG file to 128 x 128 grey pixels, on one core.

    python benchmarks/bench_decode.py [--pictures 20] [--repeats 5] [--size 1024] [--no-tensorflow]

Compares our decoder with OpenCV (its fallback), TensorFlow's decoder without the resize, and
inflating alone, which is a lower bound. The contenders take turns on each picture, so that a
slow moment of the machine affects all of them. A result is the median over the pictures of
the median over the repeats. Also checks that every pixel equals OpenCV's. CPU time is less
affected by other programs than wall time.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import zlib
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import cv2
import numpy as np

from environment import describe, write_result
from glasses_spark.preprocessing.decoding import fast_png
from glasses_spark.preprocessing.decoding.decode import decode
from glasses_spark.preprocessing.decoding.png_file import read_png_file
from pictures import photo_like_png

SIDE = 128
ACCELERATORS = ("isal", "kornia-rs")
OURS, OPENCV, TENSORFLOW = "glasses_spark", "OpenCV", "tf.io.decode_png, not resized"
Contender = Callable[[bytes], Any]


def main() -> None:
    arguments = _arguments()
    # Pin the process to one core before TensorFlow starts its thread pool.
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    contents = [photo_like_png(arguments.size, seed) for seed in range(arguments.pictures)]
    contenders = _contenders(tensorflow=not arguments.no_tensorflow)
    for contender in contenders.values():  # warm up: imports and allocations
        contender(contents[0])
    times: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    for number, content in enumerate(contents):
        for name, medians in _measure(contenders, content, arguments.repeats).items():
            times[name].append(medians)
        if not np.array_equal(decode(content), _opencv(content)):
            raise SystemExit(f"picture {number}: our pixels are not OpenCV's")
    _report(arguments, contents, times)


def _contenders(*, tensorflow: bool) -> dict[str, Contender]:
    contenders: dict[str, Contender] = {OURS: decode, OPENCV: _opencv}
    if tensorflow:
        contenders[TENSORFLOW] = _tensorflow()
    contenders["inflating alone, zlib"] = lambda content: zlib.decompress(_image_data(content))
    if fast_png.AVAILABLE:
        from isal import isal_zlib

        contenders["inflating alone, ISA-L"] = lambda content: isal_zlib.decompress(
            _image_data(content)
        )
    return contenders


def _opencv(content: bytes) -> Any:
    grey = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_GRAYSCALE)
    return cv2.resize(grey, (SIDE, SIDE))


def _tensorflow() -> Contender:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    return lambda content: tf.io.decode_png(content, channels=3).numpy()


def _image_data(content: bytes) -> bytes:
    return b"".join(read_png_file(memoryview(content)).data)


def _measure(
    contenders: dict[str, Contender], content: bytes, repeats: int
) -> dict[str, dict[str, float]]:
    """Return the median milliseconds of each contender for one picture."""
    walls: dict[str, list[float]] = {name: [] for name in contenders}
    cpus: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repeats):
        for name, contender in contenders.items():
            wall, cpu = time.perf_counter(), time.process_time()
            contender(content)
            cpus[name].append(1000 * (time.process_time() - cpu))
            walls[name].append(1000 * (time.perf_counter() - wall))
    return {
        name: {"ms": statistics.median(walls[name]), "cpu_ms": statistics.median(cpus[name])}
        for name in contenders
    }


def _report(
    arguments: Any, contents: list[bytes], times: dict[str, list[dict[str, float]]]
) -> None:
    def ratio(name: str, key: str) -> float:
        pairs = zip(times[OPENCV], times[name], strict=True)
        return round(statistics.median(opencv[key] / own[key] for opencv, own in pairs), 3)

    table = {
        name: {
            "ms": round(statistics.median(medians["ms"] for medians in pictures), 2),
            "cpu_ms": round(statistics.median(medians["cpu_ms"] for medians in pictures), 2),
            # The median over the pictures of the speed relative to OpenCV.
            "ratio_to_opencv": ratio(name, "ms"),
            "cpu_ratio_to_opencv": ratio(name, "cpu_ms"),
        }
        for name, pictures in times.items()
    }
    megabytes = [len(content) / 1e6 for content in contents]
    settings = vars(arguments) | {
        "opencv": cv2.__version__,
        "accelerators": {name: version(name) for name in ACCELERATORS if fast_png.AVAILABLE},
        "megabytes": [round(min(megabytes), 2), round(max(megabytes), 2)],
        "equal_to_opencv": True,
    }
    path = write_result("decode", describe("decode", settings) | {"table": table, "times": times})
    columns = list(next(iter(table.values())))
    print(f"{'':32}" + "".join(f"{column:>22}" for column in columns))
    for name, row in table.items():
        print(f"{name:32}" + "".join(f"{row[column]:>22.2f}" for column in columns))
    print(path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--no-tensorflow", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
