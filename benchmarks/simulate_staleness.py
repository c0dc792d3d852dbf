"""Asynchronous rules in one process: W workers with given speeds, in a seeded order of arrival.

    python benchmarks/simulate_staleness.py [--rules RULE ...] [--workers 4]
        [--seeds 5] [--slow WORKER] [--hard]

Trains the CNN of the published experiment with Adam(1e-3) and batches of 128 on drawn faces, and
prints accuracy and log loss of the test set. A push takes as long as its rows, times a random
number from 0.9 to 1.1; a slow worker takes four times as long. ``--hard`` makes 5,000 blurred and
noisy faces. The rules:

- whole: each push of 128 rows is one step of Adam, as Elephas applies it;
- scaled: the same without beta_1 and at the rate divided by sqrt(1 + staleness);
- shared: each push has 128 / W rows, and W pushes together are one step. A worker waits for it, but
  no longer than it computed. A worker that goes on before computes at weights that are 0.9 times
  the last step ahead, as the next step will be close to the last one (the look-ahead of Hakimi et
  al., Taming Momentum in a Distributed Asynchronous Environment, 2019);
- shared-free: the same without waiting, so that all workers compute ahead;
- epoch: each push is the change of a worker's weights in an epoch of its own Adam, divided by
  1 + staleness;
- shared-epoch: the same with steps of 128 / W rows.
"""

from __future__ import annotations

import argparse
import heapq
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from glasses_spark import build_cnn
from glasses_spark.datasets.drawn.draw_faces import draw_faces
from glasses_spark.preprocessing.decoding.decode import decode
from glasses_spark.runtime.keras import import_keras
from hard_faces import draw_hard_faces

Floats = npt.NDArray[np.float32]

ROOT: Final = Path(__file__).parent.parent
BATCH, EPOCHS, SIDE = 128, 10, 128
TRAINING_ROWS: Final = {False: 1891, True: 4000}
SLOWDOWN: Final = 4.0


class Adam:
    """Steps of Keras' Adam on one vector."""

    def __init__(self, size: int, *, beta_1: float = 0.9) -> None:
        self._m, self._v = np.zeros(size, np.float32), np.zeros(size, np.float32)
        self._beta_1, self._steps = beta_1, 0

    def __call__(self, gradient: Floats, share: float = 1.0) -> Floats:
        self._steps += 1
        self._m += (gradient - self._m) * np.float32(1 - self._beta_1)
        self._v += (gradient**2 - self._v) * np.float32(1e-3)
        correction = np.sqrt(1 - 0.999**self._steps) / (1 - self._beta_1**self._steps)
        rate = np.float32(1e-3 * share * correction)
        return rate * self._m / (np.sqrt(self._v) + np.float32(1e-7))


class Whole:
    """One step for each push."""

    by_epoch = False
    # Whether a worker waits for the step that its push is a part of, as long as it computed.
    waits = False

    def __init__(self, weights: Floats, workers: int) -> None:
        self.weights, self.version, self.rows = weights.copy(), 0, BATCH
        self._optimizer = Adam(len(weights))

    def pull(self, *, ahead: bool) -> Floats:
        return self.weights.copy()

    def push(self, gradient: Floats, rows: int, staleness: int) -> None:
        self.weights -= self._optimizer(gradient)
        self.version += 1


class Scaled(Whole):
    """One step for each push, smaller for stale ones."""

    def __init__(self, weights: Floats, workers: int) -> None:
        super().__init__(weights, workers)
        self._optimizer = Adam(len(weights), beta_1=0.0 if workers > 1 else 0.9)

    def push(self, gradient: Floats, rows: int, staleness: int) -> None:
        self.weights -= self._optimizer(gradient, (1 + staleness) ** -0.5)
        self.version += 1


class SharedFree(Whole):
    """One step for the pushes that together have the rows of a batch."""

    look_ahead = np.float32(0.9)

    def __init__(self, weights: Floats, workers: int) -> None:
        super().__init__(weights, workers)
        self.rows = -(-BATCH // workers)
        self._sum, self._count = np.zeros_like(weights), 0
        self._last = np.zeros_like(weights)

    def pull(self, *, ahead: bool) -> Floats:
        return self.weights - self.look_ahead * self._last if ahead else self.weights.copy()

    def push(self, gradient: Floats, rows: int, staleness: int) -> None:
        self._sum += gradient * np.float32(rows)
        self._count += rows
        if self._count >= BATCH - self.rows / 2:
            self._last = self._optimizer(self._sum / np.float32(self._count))
            self.weights -= self._last
            self._sum[:], self._count = 0, 0
            self.version += 1


class Shared(SharedFree):
    """The same, and workers wait for the step, as long as they computed."""

    waits = True


class ByEpoch(Whole):
    """Deltas of epochs, in which workers take steps of their own optimizer."""

    by_epoch = True

    def push(self, gradient: Floats, rows: int, staleness: int) -> None:
        self.weights -= gradient / np.float32(1 + staleness)
        self.version += 1


class SharedByEpoch(ByEpoch):
    """The same with steps of fewer rows, so that a worker takes as many as one process."""

    def __init__(self, weights: Floats, workers: int) -> None:
        super().__init__(weights, workers)
        self.rows = -(-BATCH // workers)


RULES: Final[dict[str, type[Whole]]] = {
    "whole": Whole,
    "scaled": Scaled,
    "shared": Shared,
    "shared-free": SharedFree,
    "epoch": ByEpoch,
    "shared-epoch": SharedByEpoch,
}


class Network:
    """The CNN, whose gradient is one vector."""

    def __init__(self) -> None:
        import tensorflow as tf

        keras = import_keras(threads=1)
        self._model = model = build_cnn(seed=0)
        self._variables = model.trainable_variables
        sizes = [int(np.prod(variable.shape)) for variable in self._variables]
        loss = keras.losses.BinaryCrossentropy()

        def gradient(weights: Any, x: Any, y: Any) -> Any:
            for variable, part in zip(self._variables, tf.split(weights, sizes), strict=True):
                variable.assign(tf.reshape(part, variable.shape))
            with tf.GradientTape() as tape:
                value = loss(y, model(x, training=True))
            gradients = tape.gradient(value, [variable.value for variable in self._variables])
            return tf.concat([tf.reshape(part, [-1]) for part in gradients], 0)

        shapes = [(None,), (None, SIDE, SIDE, 1), (None, 1)]
        signature = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
        self._gradient = tf.function(gradient, input_signature=signature, autograph=False)

    def start(self, seed: int) -> Floats:
        return np.concatenate(
            [variable.numpy().ravel() for variable in build_cnn(seed=seed).trainable_variables]
        )

    def gradient(self, weights: Floats, x: Floats, y: Floats) -> Floats:
        result: Floats = self._gradient(weights, x, y[:, None]).numpy()
        return result

    def evaluate(self, weights: Floats, x: Floats, y: Floats) -> tuple[float, float]:
        """Return accuracy and log loss."""
        start = 0
        for variable in self._variables:
            size = int(np.prod(variable.shape))
            variable.assign(weights[start : start + size].reshape(variable.shape))
            start += size
        p = np.clip(self._model.predict(x, batch_size=256, verbose=0)[:, 0], 1e-7, 1 - 1e-7)
        log_loss = -np.mean(y * np.log(p) + (1 - y) * np.log(1 - p))
        return float(((p >= 0.5) == y).mean()), float(log_loss)


def simulate(
    network: Network, rule: Whole, x: Floats, y: Floats, seed: int, speeds: list[float]
) -> float:
    """Train, and return the mean staleness of the pushes."""
    generator = np.random.default_rng([seed, 7])
    shares = np.array_split(np.random.default_rng([seed, 1]).permutation(len(x)), len(speeds))

    def batches(worker: int) -> Iterator[npt.NDArray[np.int64]]:
        for epoch in range(EPOCHS):
            order = np.random.default_rng([seed, 2, worker, epoch]).permutation(shares[worker])
            size = len(order) if rule.by_epoch else rule.rows
            for first in range(0, len(order), size):
                yield order[first : first + size]

    own_optimizers = [Adam(len(rule.weights)) for _ in speeds]

    def update(worker: int, rows: npt.NDArray[np.int64], weights: Floats) -> Floats:
        if not rule.by_epoch:
            return network.gradient(weights, x[rows], y[rows])
        after = weights.copy()
        for first in range(0, len(rows), rule.rows):
            batch = rows[first : first + rule.rows]
            after -= own_optimizers[worker](network.gradient(after, x[batch], y[batch]))
        return weights - after

    sources = [batches(worker) for worker in range(len(speeds))]
    # Ends of computing, and of patience: the time, the worker and for patience its push, else 0.
    queue: list[tuple[float, int, int]] = []
    pulled: dict[int, tuple[npt.NDArray[np.int64], Floats, int, float]] = {}
    waiting: dict[int, int] = {}

    def begin(worker: int, now: float, *, ahead: bool) -> None:
        rows = next(sources[worker], None)
        if rows is not None:
            pulled[worker] = (rows, rule.pull(ahead=ahead), rule.version, now)
            seconds = len(rows) / BATCH / speeds[worker] * generator.uniform(0.9, 1.1)
            heapq.heappush(queue, (now + seconds, worker, 0))

    for worker in range(len(speeds)):
        begin(worker, generator.uniform(0, 0.3), ahead=False)
    stalenesses = []
    while queue:
        now, worker, push = heapq.heappop(queue)
        if push:
            if waiting.get(worker) == push:
                del waiting[worker]
                begin(worker, now, ahead=True)
            continue
        rows, weights, version, began = pulled[worker]
        stalenesses.append(rule.version - version)
        before = rule.version
        rule.push(update(worker, rows, weights), len(rows), stalenesses[-1])
        if rule.version != before:
            for other in sorted(waiting):
                begin(other, now, ahead=False)
            waiting.clear()
            begin(worker, now, ahead=not rule.waits)
        elif rule.waits:
            waiting[worker] = len(stalenesses)
            heapq.heappush(queue, (2 * now - began, worker, len(stalenesses)))
        else:
            begin(worker, now, ahead=True)
    return statistics.mean(stalenesses)


def faces(folder: Path, *, hard: bool) -> tuple[Floats, Floats]:
    """Draw faces; return pixels in [0, 1] and labels, in a seeded order."""
    if hard:
        labels = draw_hard_faces(folder)
    else:
        labels = ROOT / "labels.csv"
        draw_faces(labels, folder)
    pixels, targets = [], []
    for line in labels.read_text().split()[1:]:
        index, label = line.split(",")
        if label not in ("0.0", "1.0") or not index.isdigit():
            continue
        pixels.append(decode((folder / f"face-{index}.png").read_bytes()))
        targets.append(float(label))
    order = np.random.default_rng(1).permutation(len(pixels))
    x = (np.stack(pixels)[order, ..., None] / np.float32(255)).astype(np.float32)
    return x, np.array(targets, np.float32)[order]


def main() -> None:
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        x, y = faces(Path(folder), hard=arguments.hard)
    rows, network = TRAINING_ROWS[arguments.hard], Network()
    speeds = [1.0] * arguments.workers
    if arguments.slow is not None:
        speeds[arguments.slow] /= SLOWDOWN
    for name in arguments.rules:
        results, staleness = [], []
        for seed in range(arguments.seeds):
            rule = RULES[name](network.start(seed), arguments.workers)
            staleness.append(simulate(network, rule, x[:rows], y[:rows], seed, speeds))
            results.append(network.evaluate(rule.weights, x[rows:], y[rows:]))
        accuracies, losses = zip(*results, strict=True)
        print(
            f"{name}, {arguments.workers} workers: accuracy {statistics.median(accuracies):.4f} "
            f"(worst {min(accuracies):.4f}), log loss {statistics.median(losses):.4f} "
            f"(worst {max(losses):.4f}), staleness {statistics.mean(staleness):.2f}",
            flush=True,
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rules", nargs="+", choices=list(RULES), default=list(RULES))
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--slow", type=int, help="number of a worker that is slowed down")
    parser.add_argument("--hard", action="store_true", help="blurred and noisy faces")
    return parser.parse_args()


if __name__ == "__main__":
    main()
