"""Process that measures one part of a run on this machine.

    python -m glasses_spark.preflight.advise.probe KIND TASK RESULT

KIND is ``compute`` or ``spark``, TASK the JSON file of a ``Task``, and RESULT the JSON file to
write. A process can set the number of TensorFlow's threads only once. So, like the daemon of
Spark's workers, the probe imports TensorFlow once and forks for each measurement.
"""

from __future__ import annotations

import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from glasses_spark.config.config import Config
from glasses_spark.config.fields import AUTO
from glasses_spark.config.training import TrainingConfig
from glasses_spark.preflight.advise.task import Task
from glasses_spark.runtime.connect import require_classic

# A time is the minimum of at least MIN_STEPS steps that together take STEP_SECONDS: other
# programs only ever make a step slower.
STEP_SECONDS: Final = 0.5
MIN_STEPS: Final = 3

# Exchanges to measure, and the first ones that are ignored because connections warm up.
EXCHANGES: Final = 12
WARM_UP_EXCHANGES: Final = 2


def main() -> None:
    """Measure, and write the result file."""
    kind, task_file, result_file = sys.argv[1:]
    measure = {"compute": measure_compute, "spark": measure_spark}[kind]
    task = Task.from_json(Path(task_file).read_text())
    Path(result_file).write_text(json.dumps(measure(task)))


def measure_spark(task: Task) -> dict[str, Any]:
    """Start Spark and list the data as a run does.

    Args:
        task: What to measure.

    Returns:
        ``start_s``, seconds to start Spark; ``list_s``, seconds to list images and labels,
        with TensorFlow imported at the same time; ``images``, the number of images that
        a run uses.
    """
    from glasses_spark.runtime.session import spark_session

    config = task.config
    began = time.perf_counter()
    with spark_session(master=config.spark.master or None, conf=config.spark.conf) as spark:
        require_classic(spark, "advise", instead="unset SPARK_REMOTE")
        from glasses_spark.loading.dataset import load_dataset
        from glasses_spark.runtime.python_workers.warm_up import warm_up

        started = time.perf_counter()
        warm_up(spark, num_workers=AUTO)
        dataset = load_dataset(
            spark,
            config.data.images,
            config.data.labels,
            glob=config.data.glob,
            limit=config.data.limit or None,
            seed=config.run.seed,
        )
        listed = time.perf_counter()
        images = dataset.account.used
    return {"start_s": started - began, "list_s": listed - started, "images": images}


def measure_compute(task: Task) -> dict[str, Any]:
    """Measure decoding, training steps, the exchange of weights, and plain Keras.

    Args:
        task: What to measure.

    Returns:
        In seconds: ``import_s`` (TensorFlow); ``decode_s`` per image on all cores;
        ``workers``, which maps a number of workers to ``start_s`` (building and tracing),
        the time of a step by precision, and ``score_s`` per image; ``exchange_s``; and
        ``keras`` with ``start_s``, ``step_s``, and ``decode_s`` per image.
    """
    decoded = _run_forks(_decode, task, task.cores, 1)
    began = time.perf_counter()
    from glasses_spark.runtime.keras import import_keras

    import_keras()
    import glasses_spark.training.worker.worker  # noqa: F401

    import_s = time.perf_counter() - began
    workers = {
        str(count): _mean(_run_forks(_step, task, count, max(1, task.cores // count)))
        for count in task.workers
    }
    return {
        "import_s": import_s,
        "decode_s": _mean(decoded)["decode_s"] / task.cores,
        "workers": workers,
        **_run_forks(_exchange, task, 1, 1)[0],
        "keras": _run_forks(_keras, task, 1, task.cores)[0],
    }


def _run_forks(
    measure: Callable[..., dict[str, float]], task: Task, processes: int, threads: int
) -> list[dict[str, float]]:
    """Run the same measurement in several forks at once, because workers share the machine.

    Args:
        measure: Takes the task, the number of threads, and a function that waits until all
            forks have called it.
        task: What to measure.
        processes: Number of forks.
        threads: Threads of each fork.
    """
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
    results = [queue.get() for _ in forks]
    for fork in forks:
        fork.join()
    for result in results:
        if "error" in result:
            raise RuntimeError(str(result["error"]))
    return results


def _decode(task: Task, threads: int, wait_for_all: Callable[[], object]) -> dict[str, float]:
    from glasses_spark.errors import DecodeError
    from glasses_spark.preprocessing.decoding.batches import configure_worker
    from glasses_spark.preprocessing.decoding.decode import decode

    configure_worker()
    image = task.config.image

    def decode_next(number: int) -> None:
        # Different files, because one file would stay in the processor's cache.
        content = Path(task.sample[number % len(task.sample)]).read_bytes()
        with suppress(DecodeError):
            decode(content, image.height, image.width)

    decode_next(0)  # the first call is slower
    wait_for_all()
    began, done = time.perf_counter(), 0
    while not done or time.perf_counter() - began < STEP_SECONDS:
        done += 1
        decode_next(done)
    return {"decode_s": (time.perf_counter() - began) / done}


def _step(task: Task, threads: int, wait_for_all: Callable[[], object]) -> dict[str, float]:
    from glasses_spark.pipeline.fit import build_network
    from glasses_spark.runtime.keras import import_keras
    from glasses_spark.training.worker.spool import RowField, RowFormat
    from glasses_spark.training.worker.steps import Steps

    import_keras(threads=threads)
    model = build_network(task.config)
    x, y, weight = _rows(task.config)
    row_format = RowFormat((RowField("uint8", x.shape[1]),), (RowField("float32", 1),), "float32")
    # With one thread, CPU time is the time of a step without other programs.
    clock = time.process_time if threads == 1 else time.perf_counter
    times: dict[str, float] = {}
    for precision in task.precisions:
        began = time.perf_counter()
        steps = Steps(_spec(model, task.config.training, precision), row_format)
        weights = steps.read()
        steps.gradient(weights, [x], [y], weight)
        times.setdefault("start_s", time.perf_counter() - began)
        steps.gradient(weights, [x], [y], weight)
        wait_for_all()
        times[precision] = _least_seconds(partial(steps.gradient, weights, [x], [y], weight), clock)
        if precision == task.precisions[0]:
            steps.evaluate([x], [y], weight)
            wait_for_all()
            seconds = _least_seconds(partial(steps.evaluate, [x], [y], weight), clock)
            times["score_s"] = seconds / len(x)
    return times


def _exchange(task: Task, threads: int, wait_for_all: Callable[[], object]) -> dict[str, float]:
    """Measure a push, the optimizer's step on the server, and the returned weights."""
    import numpy as np

    from glasses_spark.config.training import ASYNCHRONOUS, BATCH
    from glasses_spark.pipeline.fit import build_network
    from glasses_spark.runtime.keras import import_keras
    from glasses_spark.runtime.machine import LOOPBACK
    from glasses_spark.training.schedule import Schedule
    from glasses_spark.training.server.calls import Position, Push
    from glasses_spark.training.server.certificates import make_credentials
    from glasses_spark.training.server.coordinator import Coordinator
    from glasses_spark.training.server.parameter_client import ParameterClient, ServerAddress
    from glasses_spark.training.server.parameter_server import ParameterServer
    from glasses_spark.training.server.shared_weights import SharedWeights

    import_keras(threads=threads)
    shared_weights = SharedWeights(build_network(task.config), workers=1, uses_gradients=True)
    batch_size = task.config.training.batch_size
    rows = (2 * EXCHANGES * batch_size,)
    schedule = Schedule(ASYNCHRONOUS, BATCH, 1, batch_size, rows, (0,))
    coordinator = Coordinator(schedule, shared_weights, state_size=1, stall_timeout=60)
    server_end, worker_end = make_credentials()
    update, state = np.zeros(shared_weights.layout.size, shared_weights.layout.dtype), np.zeros(1)
    with ParameterServer(coordinator, server_end) as server:
        address = ServerAddress(LOOPBACK, server.port, worker_end, deadline=60, heartbeat=5)
        client = ParameterClient(
            address, shared_weights.layout, workers=[0], attempt=0, host="here"
        )
        seconds = []
        with client:
            client.join()
            client.pull(Position(0, 0))
            for step in range(EXCHANGES):
                began = time.perf_counter()
                push = Push(
                    Position(0, step),
                    rows=batch_size,
                    update=update,
                    metric_state=state,
                    version=client.version,
                    awaited=Position(0, step + 1),
                )
                client.push(0, push)
                seconds.append(time.perf_counter() - began)
    return {"exchange_s": statistics.median(seconds[WARM_UP_EXCHANGES:])}


def _keras(task: Task, threads: int, wait_for_all: Callable[[], object]) -> dict[str, float]:
    """Measure plain Keras: a step on all cores, and decoding by TensorFlow."""
    import numpy as np
    import tensorflow as tf

    from glasses_spark.pipeline.fit import build_network
    from glasses_spark.scoring.model_input import scale_pixels

    model, image = build_network(task.config), task.config.image
    x, y, _ = _rows(task.config)
    pixels = scale_pixels(x.reshape(-1, image.height, image.width, 1).astype(np.float32))
    began = time.perf_counter()
    model.train_on_batch(pixels, y)
    start_s = time.perf_counter() - began
    model.train_on_batch(pixels, y)
    step_s = _least_seconds(lambda: model.train_on_batch(pixels, y))

    def read(path: Any) -> Any:
        decoded = tf.io.decode_image(tf.io.read_file(path), channels=1, expand_animations=False)
        return tf.image.resize(decoded, (image.height, image.width))

    batch = 8
    paths = tf.data.Dataset.from_tensor_slices(list(task.sample)).repeat()
    images = iter(paths.map(read, num_parallel_calls=tf.data.AUTOTUNE).batch(batch))
    next(images)
    decode_s = _least_seconds(lambda: next(images)) / batch
    return {"start_s": start_s, "step_s": step_s, "decode_s": decode_s}


def _spec(model: Any, training: TrainingConfig, precision: str) -> Any:
    from glasses_spark.training.model_spec import ModelSpec

    return ModelSpec(
        config=model.to_json(),
        loss=training.loss,
        metrics=training.metrics,
        optimizer=training.optimizer,
        precision=precision,
        cpu_kernels=training.cpu_kernels,
    )


def _rows(config: Config) -> tuple[Any, Any, Any]:
    import numpy as np

    batch_size, image = config.training.batch_size, config.image
    generator = np.random.default_rng(config.run.seed)
    x = generator.integers(0, 256, (batch_size, image.height * image.width)).astype(np.uint8)
    y = generator.integers(0, 2, (batch_size, 1)).astype(np.float32)
    return x, y, np.ones(batch_size, np.float32)


def _least_seconds(
    work: Callable[[], object], clock: Callable[[], float] = time.perf_counter
) -> float:
    seconds: list[float] = []
    while len(seconds) < MIN_STEPS or sum(seconds) < STEP_SECONDS:
        began = clock()
        work()
        seconds.append(clock() - began)
    return min(seconds)


def _mean(results: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: statistics.mean(result[name] for result in results) for name in results[0]}


if __name__ == "__main__":
    main()
