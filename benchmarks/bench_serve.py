"""Requests a second of ``glasses-spark serve``, of a plain service, and of the bare runtime.

    python benchmarks/bench_serve.py [--seconds 20] [--connections 16] [--requests 100000]

``wrk`` (https://github.com/wg/wrk) sends one image a request over open connections to our service
and to that of plain_service.py, in turns: a face of 128 x 128 and a photo-like picture of
1024 x 1024. The bare runtime decodes and scores the same image with a thread for each core and
batches of 32. Then one service answers many requests, and its memory before and after is compared.
``results/serve.json`` has the figures.
"""

from __future__ import annotations

import argparse
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

from environment import describe, write_result
from glasses_spark import build_cnn
from glasses_spark.preprocessing.decoding.decode import decode
from glasses_spark.scorer.scorer import BATCH, Scorer
from glasses_spark.scoring.export import export_model, with_pixel_input
from glasses_spark.scoring.model_metadata import ModelMetadata
from pictures import photo_like_png

OURS, PLAIN, BARE = "glasses-spark serve", "plain FastAPI and Keras", "bare runtime"

SCRIPT = """
local file = io.open("{path}", "rb")
wrk.method, wrk.body = "POST", file:read("*all")
wrk.headers["Content-Type"] = "image/png"
"""


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network = build_cnn(seed=0)
        network.save(folder / "model.keras")
        metadata = ModelMetadata(height=128, width=128, takes_pixels=True)
        export_model(with_pixel_input(network), folder / "model.onnx", metadata, format="onnx")
        pixels = np.random.default_rng(0).integers(0, 256, (128, 128), np.uint8)
        images = {
            "128 x 128": cv2.imencode(".png", pixels)[1].tobytes(),
            "1024 x 1024": photo_like_png(1024, 0),
        }
        result: dict[str, Any] = {}
        with _ours(folder) as ours, _plain(folder) as plain:
            for size, content in images.items():
                result[size] = _compare(folder, content, ours, plain, arguments)
        with _ours(folder) as ours:
            result["memory"] = _memory(folder, images["128 x 128"], ours, arguments)
    print(write_result("serve", describe("serve", vars(arguments)) | result))


def _compare(
    folder: Path, content: bytes, ours: int, plain: int, arguments: argparse.Namespace
) -> dict[str, Any]:
    (folder / "image.png").write_bytes(content)
    (folder / "post.lua").write_text(SCRIPT.format(path=folder / "image.png"))
    rounds: dict[str, list[dict[str, float]]] = {OURS: [], PLAIN: [], BARE: []}
    for _ in range(arguments.repeats):
        rounds[OURS].append(_load(folder, ours, arguments.seconds, arguments.connections))
        rounds[PLAIN].append(_load(folder, plain, arguments.seconds, arguments.connections))
        rounds[BARE].append({"per_second": _bare(folder, content, arguments.seconds / 2)})
        print({name: each[-1] for name, each in rounds.items()}, flush=True)
    table = {
        name: {
            key: round(statistics.median(each[key] for each in measured), 2) for key in measured[0]
        }
        for name, measured in rounds.items()
    }
    return table | {
        "throughput_to_plain": round(table[OURS]["per_second"] / table[PLAIN]["per_second"], 2),
        "throughput_to_bare": round(table[OURS]["per_second"] / table[BARE]["per_second"], 2),
        "p99_to_plain": round(table[OURS]["p99_ms"] / table[PLAIN]["p99_ms"], 2),
    }


def _load(folder: Path, port: int, seconds: float, connections: int) -> dict[str, float]:
    """Return requests a second, the 99th percentile of their time, and how many failed."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency", "--timeout", "30s"]
    text = subprocess.run(
        [*command, "-s", str(folder / "post.lua"), f"http://127.0.0.1:{port}/predict"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    value, unit = re.search(r"99%\s+([\d.]+)(us|ms|s|m)", text).groups()
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    lost = re.search(r"Socket errors: (.*)", text)
    return {
        "per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", text)[1]),
        "p99_ms": float(value) * {"us": 1e-3, "ms": 1, "s": 1e3, "m": 6e4}[unit],
        "requests": int(re.search(r"(\d+) requests in", text)[1]),
        "failed": int(failed[1]) if failed else 0,
        "lost": sum(map(int, re.findall(r"\d+", lost[1]))) if lost else 0,
    }


def _bare(folder: Path, content: bytes, seconds: float) -> float:
    """Return images a second of decoder and runtime in a process of their own."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from bench_serve import bare; "
        "bare(sys.argv[2], float(sys.argv[3]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent), str(folder), str(seconds)],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout)


def bare(folder: str, seconds: float) -> None:
    """Print how many images a second are decoded and scored, as the service does both."""
    content = (Path(folder) / "image.png").read_bytes()
    scorer = Scorer.load(folder)
    cores = len(os.sched_getaffinity(0))
    images, end = 0, time.perf_counter() + seconds
    began = time.perf_counter()
    with ThreadPoolExecutor(cores) as pool:
        while time.perf_counter() < end:
            pixels = list(pool.map(lambda _: decode(content), range(BATCH)))
            scorer.probabilities(np.stack(pixels))
            images += BATCH
    print(images / (time.perf_counter() - began))


def _memory(
    folder: Path, content: bytes, port: int, arguments: argparse.Namespace
) -> dict[str, Any]:
    """Return the memory of the service after some requests, and after many."""
    (folder / "image.png").write_bytes(content)
    process = next(
        psutil.Process(each.pid)
        for each in psutil.net_connections("tcp")
        if each.laddr and each.laddr.port == port and each.status == psutil.CONN_LISTEN
    )
    warm = _load(folder, port, 5, arguments.connections)
    rows = [{"requests": warm["requests"], "mb": round(process.memory_info().rss / 2**20, 1)}]
    failed = warm["failed"] + warm["lost"]
    while rows[-1]["requests"] < arguments.requests:
        part = _load(folder, port, 10, arguments.connections)
        failed += part["failed"] + part["lost"]
        rows.append(
            {
                "requests": int(rows[-1]["requests"] + part["requests"]),
                "mb": round(process.memory_info().rss / 2**20, 1),
            }
        )
        print(rows[-1], flush=True)
    return {"failed_or_lost": failed, "by_requests": rows}


@contextmanager
def _ours(folder: Path) -> Iterator[int]:
    command = [sys.executable, "-m", "glasses_spark", "serve", "--port", "0"]
    with _running([*command, "--model", str(folder / "model.onnx")]) as line:
        yield int(line.rpartition(":")[2])


@contextmanager
def _plain(folder: Path) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = Path(__file__).with_name("plain_service.py")
    with _running([sys.executable, str(script), str(folder / "model.keras"), str(port)]):
        for _ in range(600):
            try:
                HTTPConnection("127.0.0.1", port).connect()
                break
            except OSError:
                time.sleep(0.1)
        yield port


@contextmanager
def _running(command: list[str]) -> Iterator[str]:
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        yield process.stdout.readline()
    finally:
        process.terminate()
        process.wait()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
