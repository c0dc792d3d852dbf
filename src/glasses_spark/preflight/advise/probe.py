"""Probe: a process that measures what one part of a run takes on this machine.

    python -m glasses_spark.preflight.advise.probe KIND TASK RESULT

KIND is ``compute`` or ``spark``; TASK is a JSON file with the fields of ``Task``, and RESULT
is where the figures go, as JSON. TensorFlow takes its threads once a process: as in the
daemon of Spark's workers, it is imported here once, and each measurement is a fork.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

# Each figure is the least of what fits into so many seconds, and of three steps at least: what
# another program takes meanwhile only ever adds.
STEP_SECONDS: Final = 0.5
LEAST_STEPS: Final = 3
EXCHANGES: Final = 12


@dataclass(frozen=True)
class Task:
    """What to measure, in plain values.

    Attributes:
        images: ``data.images``.
        labels: ``data.labels``.
        glob: ``data.glob``.
        limit: ``data.limit``.
        sample: Paths of some of the images.
        height: Rows of an image in training.
        width: Columns of it.
        batch_size: Images in one step.
        optimizer: Of the fit, by name.
        loss: Of the fit, by name.
        metrics: Of the fit, by name.
        workers: Counts of workers to measure the step for.
        cores: Cores that they share.
        precisions: ``float32``, and ``bfloat16`` where it is worth measuring.
        master: ``spark.master``.
        conf: ``spark.conf``.
        seed: ``run.seed``.
    """

    images: str
    labels: str
    glob: str
    limit: int
    sample: Sequence[str]
    height: int
    width: int
    batch_size: int
    optimizer: str
    loss: str
    metrics: Sequence[str]
    workers: Sequence[int]
    cores: int
    precisions: Sequence[str]
    master: str
    seed: int
    conf: Mapping[str, str] = field(default_factory=dict)


def main() -> None:
    """Measure, and write the figures down."""
    kind, task, result = sys.argv[1:]
    found = {"compute": measure_compute, "spark": measure_spark}[kind](
        Task(**json.loads(Path(task).read_text()))
    )
    Path(result).write_text(json.dumps(found))


def measure_spark(task: Task) -> dict[str, Any]:
    """Start Spark and list the data, as a run does.

    Returns:
        ``start_s``, to a session with TensorFlow being imported beside it; ``list_s``, the
        listing of images and labels; ``images``, how many a run uses.
    """
    from glasses_spark.runtime.keras import import_bare_keras
    from glasses_spark.runtime.session import spark_session

    began = time.perf_counter()
    with spark_session(
        master=task.master or None, conf=task.conf, meanwhile=import_bare_keras
    ) as spark:
        from glasses_spark.loading.dataset import load_dataset
        from glasses_spark.runtime.python_workers.warm_up import warm_up

        started = time.perf_counter()
        warm_up(spark, num_workers="auto")
        dataset = load_dataset(
            spark,
            task.images,
            task.labels,
            glob=task.glob,
            limit=task.limit or None,
            seed=task.seed,
        )
        listed = time.perf_counter()
        images = dataset.account.used
    return {"start_s": started - began, "list_s": listed - started, "images": images}


def measure_compute(task: Task) -> dict[str, Any]:
    """Measure decoding, training steps, an exchange with the server, and plain Keras.

    Returns:
        ``import_s``, TensorFlow's import; ``decode_s``, seconds an image with all cores at
        work; ``workers``, by the count of workers: ``start_s`` (building and tracing) and,
        by precision, seconds of a step; ``score_s``, of an image on one core;
        ``exchange_s``; ``keras``: ``start_s``, ``step_s`` and ``decode_s`` an image.
    """
    decode = _together(_decode, task, task.cores, 1)
    began = time.perf_counter()
    from glasses_spark.runtime.keras import import_bare_keras

    import_bare_keras()
    import glasses_spark.training.worker.worker  # noqa: F401

    found: dict[str, Any] = {
        "import_s": time.perf_counter() - began,
        "decode_s": statistics.mean(one["decode_s"] for one in decode) / task.cores,
        "workers": {},
    }
    for workers in task.workers:
        all_of_them = _together(_step, task, workers, max(1, task.cores // workers))
        found["workers"][str(workers)] = _mean(all_of_them)
    found |= _together(_exchange, task, 1, 1)[0]
    found["keras"] = _together(_keras, task, 1, task.cores)[0]
    return found


def _together(
    measure: Callable[..., dict[str, float]], task: Task, processes: int, threads: int
) -> list[dict[str, float]]:
    """Measure the same in several forks at the same time, as they will have to share."""
    context = multiprocessing.get_context("fork")
    barrier, queue = context.Barrier(processes), context.SimpleQueue()

    def run() -> None:
        try:
            queue.put(measure(task, threads, barrier.wait))
        except BaseException as error:
            barrier.abort()
            queue.put({"error": f"{type(error).__name__}: {error}"})
            raise

    forks = [context.Process(target=run) for _ in range(processes)]
    for fork in forks:
        fork.start()
    found = [queue.get() for _ in forks]
    for fork in forks:
        fork.join()
    for one in found:
        if "error" in one:
            raise RuntimeError(str(one["error"]))
    return found


def _decode(task: Task, threads: int, together: Callable[[], object]) -> dict[str, float]:
    from glasses_spark.errors import DecodeError
    from glasses_spark.preprocessing.decoding.batches import settle_in
    from glasses_spark.preprocessing.decoding.decode import decode

    settle_in()

    def decode_one(number: int) -> None:
        # Not the same bytes again and again, as far as the sample reaches.
        content = Path(task.sample[number % len(task.sample)]).read_bytes()
        with suppress(DecodeError):
            decode(content, task.height, task.width)

    decode_one(0)  # the first one costs more
    together()
    began, done = time.perf_counter(), 0
    while not done or time.perf_counter() - began < STEP_SECONDS:
        done += 1
        decode_one(done)
    return {"decode_s": (time.perf_counter() - began) / done}


def _step(task: Task, threads: int, together: Callable[[], object]) -> dict[str, float]:
    from glasses_spark.runtime.keras import import_keras
    from glasses_spark.training.worker.spool import RowFormat
    from glasses_spark.training.worker.steps import Steps

    import_keras(threads=threads)
    model = _network(task)
    form = RowFormat("uint8", task.height * task.width, 1, "float32")
    x, y, weight = _rows(task)
    # On one thread a step takes what it computes, and others' share of the core does not count.
    clock = time.process_time if threads == 1 else time.perf_counter
    found: dict[str, float] = {}
    for precision in task.precisions:
        began = time.perf_counter()
        steps = Steps(_spec(model, task, precision), form)
        weights = steps.read()
        steps.gradient(weights, x, y, weight)
        found.setdefault("start_s", time.perf_counter() - began)
        steps.gradient(weights, x, y, weight)
        together()
        found[precision] = _seconds(partial(steps.gradient, weights, x, y, weight), clock)
        if precision == task.precisions[0]:
            steps.evaluate(x, y, weight)
            together()
            seconds = _seconds(partial(steps.evaluate, x, y, weight), clock)
            found["score_s"] = seconds / task.batch_size
    return found


def _exchange(task: Task, threads: int, together: Callable[[], object]) -> dict[str, float]:
    """A push of an update and the weights that come back, with the optimizer's step between."""
    import numpy as np

    from glasses_spark.runtime.keras import import_keras
    from glasses_spark.runtime.machine import LOOPBACK
    from glasses_spark.training.schedule import ASYNCHRONOUS, BATCH, Schedule
    from glasses_spark.training.server.certificates import make_credentials
    from glasses_spark.training.server.coordinator import Coordinator
    from glasses_spark.training.server.parameter_client import ParameterClient, ServerAddress
    from glasses_spark.training.server.parameter_server import ParameterServer
    from glasses_spark.training.server.shared_weights import Master

    import_keras(threads=threads)
    master = Master(_network(task), workers=1, uses_gradients=True)
    rows = (2 * EXCHANGES * task.batch_size,)
    schedule = Schedule(ASYNCHRONOUS, BATCH, 1, task.batch_size, rows, (0,))
    coordinator = Coordinator(schedule, master, state_size=1, stall_timeout=60)
    server_end, worker_end = make_credentials()
    update, state = np.zeros(master.layout.size, master.layout.dtype), np.zeros(1)
    with ParameterServer(coordinator, server_end) as server:
        address = ServerAddress(LOOPBACK, server.port, worker_end, deadline=60, heartbeat=5)
        client = ParameterClient(address, master.layout, worker=0, attempt=0, host="here")
        seconds = []
        with client:
            client.join()
            client.pull(0, 0)
            for step in range(EXCHANGES):
                began = time.perf_counter()
                client.push(0, step, rows=task.batch_size, update=update, metric_state=state)
                seconds.append(time.perf_counter() - began)
    return {"exchange_s": statistics.median(seconds[2:])}


def _keras(task: Task, threads: int, together: Callable[[], object]) -> dict[str, float]:
    """Plain Keras: its own step on all cores, and TensorFlow's way of reading images."""
    import numpy as np
    import tensorflow as tf

    model = _network(task)
    x, y, _ = _rows(task)
    pixels = x.reshape(-1, task.height, task.width, 1).astype(np.float32) / 255
    began = time.perf_counter()
    model.train_on_batch(pixels, y)
    start = time.perf_counter() - began
    model.train_on_batch(pixels, y)
    step_s = _seconds(lambda: model.train_on_batch(pixels, y))
    found = {"start_s": start, "step_s": step_s}

    def read(path: Any) -> Any:
        image = tf.io.decode_image(tf.io.read_file(path), channels=1, expand_animations=False)
        return tf.image.resize(image, (task.height, task.width))

    paths = tf.data.Dataset.from_tensor_slices(list(task.sample)).repeat()
    images = iter(paths.map(read, num_parallel_calls=tf.data.AUTOTUNE).batch(8))
    next(images)
    found["decode_s"] = _seconds(lambda: next(images)) / 8
    return found


def _network(task: Task) -> Any:
    from glasses_spark.training.model import build_cnn

    return build_cnn(
        task.height,
        task.width,
        optimizer=task.optimizer,
        loss=task.loss,
        metrics=task.metrics,
        seed=task.seed,
    )


def _spec(model: Any, task: Task, precision: str) -> Any:
    from glasses_spark.training.model_spec import ModelSpec

    return ModelSpec(
        config=model.to_json(),
        loss=task.loss,
        metrics=task.metrics,
        optimizer=task.optimizer,
        precision=precision,
    )


def _rows(task: Task) -> tuple[Any, Any, Any]:
    import numpy as np

    generator = np.random.default_rng(task.seed)
    x = generator.integers(0, 256, (task.batch_size, task.height * task.width)).astype(np.uint8)
    y = generator.integers(0, 2, (task.batch_size, 1)).astype(np.float32)
    return x, y, np.ones(task.batch_size, np.float32)


def _seconds(work: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    seconds: list[float] = []
    while len(seconds) < LEAST_STEPS or sum(seconds) < STEP_SECONDS:
        began = clock()
        work()
        seconds.append(clock() - began)
    return min(seconds)


def _mean(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.mean(one[name] for one in found) for name in found[0]}


if __name__ == "__main__":
    main()
