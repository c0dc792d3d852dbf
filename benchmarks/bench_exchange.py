"""The cost of an exchange: workers that compute nothing push updates and take weights back.

    python benchmarks/bench_exchange.py [--millions 0.4 4 25 100] [--workers 1 2 4 8 16]
        [--modes synchronous synchronous/connection ...] [--repeats 3]

Each worker is a process on this machine, as is the driver. They exchange vectors through memory,
or with "/connection" as workers on other machines do. Beside each number of weights and
workers, the same processes sum vectors of this length by an all-reduce of gloo (of torch, which
`pip install torch` adds), without a server, TLS or an optimizer. An exchange that would not fit
into the memory is left out.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from environment import describe, read_result, write_result

SECONDS: Final = 2.0  # of a measurement, about
BYTES_PER_S: Final = 1e9  # a guess from which the number of rounds follows
COPIES: Final = 8  # of the vector for each worker, in all processes together
GLOO: Final = "gloo"
CONNECTION: Final = "connection"
MODES: Final = [
    f"{mode}{option}"
    for mode in ("synchronous", "asynchronous")
    for option in ("", f"/{CONNECTION}")
]


def main() -> None:
    arguments = _arguments()
    memory = _free_memory()
    table = read_result(arguments.result)["table"] if arguments.add else []
    for millions in arguments.millions:
        size = round(millions * 1e6)
        for workers in arguments.workers:
            if COPIES * 4 * size * workers > memory:
                print(f"{millions:g} million weights, {workers} workers: too large", flush=True)
                continue
            rounds = max(10, min(200, int(SECONDS * BYTES_PER_S / (8 * size * workers))))
            ways: dict[str, list[dict[str, float]]] = {way: [] for way in [GLOO, *arguments.modes]}
            for _ in range(arguments.repeats):
                for way, figures in ways.items():
                    figures.append(_measure(way, size, workers, rounds))
            row = {"millions": millions, "workers": workers, "rounds": rounds}
            for way, figures in ways.items():
                row[way] = {
                    name: statistics.median(figure[name] for figure in figures)
                    for name in figures[0]
                }
            table.append(row)
            print(row, flush=True)
            # After each row, so that a run that is ended early keeps its rows.
            result = describe("exchange", vars(arguments)) | {"table": table}
            write_result(arguments.result, result)


def _measure(way: str, size: int, workers: int, rounds: int) -> dict[str, float]:
    if way == GLOO:
        with tempfile.TemporaryDirectory() as folder:
            store = str(Path(folder) / "store")
            return {"seconds": max(_run(_all_reduce, workers, store, workers, size, rounds))}
    return _measure_ours(way, size, workers, rounds)


def _measure_ours(way: str, size: int, workers: int, rounds: int) -> dict[str, float]:
    """Return the seconds of a round, and the CPU seconds of the driver for one push."""
    from glasses_spark.runtime.keras import import_keras
    from glasses_spark.runtime.machine import LOOPBACK
    from glasses_spark.training.schedule import Schedule
    from glasses_spark.training.server.certificates import make_credentials
    from glasses_spark.training.server.coordinator import Coordinator
    from glasses_spark.training.server.parameter_client import ServerAddress
    from glasses_spark.training.server.parameter_server import ParameterServer
    from glasses_spark.training.server.shared_weights import SharedWeights

    mode, _, option = way.partition("/")
    keras = import_keras(threads=1)
    model = keras.Sequential(
        [keras.Input((1,)), keras.layers.Dense(size, use_bias=False, kernel_initializer="zeros")]
    )
    model.compile("sgd", "mse")
    rows = (rounds + 1,) * workers
    schedule = Schedule(mode, "batch", 1, 1, rows, (0,) * workers)
    shared_weights = SharedWeights(model, workers=workers, uses_gradients=False)
    coordinator = Coordinator(schedule, shared_weights, state_size=1, stall_timeout=600)
    server_end, worker_end = make_credentials()
    with ParameterServer(coordinator, server_end, shared_memory=option != CONNECTION) as server:
        address = ServerAddress(LOOPBACK, server.port, worker_end, deadline=600, heartbeat=5)
        began = time.process_time()
        seconds = _run(_push, workers, address, shared_weights.layout, rounds)
        cpu = time.process_time() - began
    return {"seconds": max(seconds), "driver_cpu_s": cpu / ((rounds + 1) * workers)}


def _run(work: Callable[..., None], workers: int, *arguments: Any) -> list[float]:
    """Run a process for each worker; return what each puts into the queue."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [
        context.Process(target=work, args=(queue, rank, *arguments)) for rank in range(workers)
    ]
    for process in processes:
        process.start()
    figures = [queue.get() for _ in processes]
    for process in processes:
        process.join()
    return figures


def _push(queue: Any, rank: int, address: Any, layout: Any, rounds: int) -> None:
    import numpy as np

    from glasses_spark.training.server.calls import Position, Push
    from glasses_spark.training.server.parameter_client import ParameterClient

    update, state = np.zeros(layout.size, layout.dtype), np.zeros(1)
    with ParameterClient(address, layout, workers=[rank], attempt=0, host="here") as client:
        client.join()
        client.pull(Position(0, 0))
        began = 0.0
        for step in range(rounds + 1):
            if step == 1:  # the first one waits for the others to start
                began = time.perf_counter()
            push = Push(
                Position(0, step),
                rows=1,
                update=update,
                metric_state=state,
                version=client.version,
                awaited=Position(0, step + 1),
            )
            client.push(rank, push)
        queue.put((time.perf_counter() - began) / rounds)


def _all_reduce(queue: Any, rank: int, store: str, workers: int, size: int, rounds: int) -> None:
    import torch
    import torch.distributed as distributed

    torch.set_num_threads(1)
    address = f"file://{store}"
    distributed.init_process_group(GLOO, init_method=address, rank=rank, world_size=workers)
    vector = torch.zeros(size)
    distributed.all_reduce(vector)  # connects
    distributed.barrier()
    began = time.perf_counter()
    for _ in range(rounds):
        distributed.all_reduce(vector)
    distributed.barrier()
    queue.put((time.perf_counter() - began) / rounds)
    distributed.destroy_process_group()


def _free_memory() -> int:
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(lines["MemAvailable"].split()[0]) * 1024


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--millions", type=float, nargs="+", default=[0.4, 4, 25, 100])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8, 16])
    parser.add_argument("--modes", nargs="+", default=MODES, help="MODE or MODE/connection")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--add", action="store_true", help="keep the rows of the result file")
    parser.add_argument("--result", default="exchange", help="name of the result file")
    return parser.parse_args()


if __name__ == "__main__":
    main()
