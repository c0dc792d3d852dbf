"""Shared weights: the weights that all workers train, kept in the driver."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from glasses_spark.errors import TrainingError
from glasses_spark.training.optimizers import state_variables, unpack
from glasses_spark.training.server.optimizer_step import OptimizerStep
from glasses_spark.training.server.own_optimizers import OwnOptimizers
from glasses_spark.training.weights import (
    Vector,
    WeightLayout,
    layout_of,
    read_vector,
    write_vector,
)


class SharedWeights:
    """The shared weights as one flat vector.

    Not thread-safe by itself: the coordinator calls it with its lock held, except
    in hogwild mode, in which updates may overlap.

    Args:
        model: Compiled Keras model. A fit starts from its weights; its
            optimizer makes an update of a gradient.
        workers: Number of workers, at least 1.
        uses_gradients: Whether updates are gradients for the optimizer, or
            deltas (weights before minus after), which are subtracted.
        staleness_aware: Whether `apply` scales down a stale update.

    Attributes:
        model: The Keras model.
        layout: Layout of the vectors.
        version: Number of changes so far.
        own_optimizers: States of the workers' own optimizers, for deltas.
    """

    def __init__(
        self,
        model: Any,
        *,
        workers: int,
        uses_gradients: bool,
        staleness_aware: bool = False,
    ) -> None:
        self.model = model
        self.layout: WeightLayout = layout_of(model)
        self.version = 0
        self._workers = workers
        self._staleness_aware = staleness_aware
        self._optimizer: OptimizerStep | None = None
        self.own_optimizers = OwnOptimizers(partial(_count_parts, model, self.layout))
        if uses_gradients:
            # Several asynchronous workers act like momentum already.
            momentum = workers == 1 or not staleness_aware
            self._optimizer = OptimizerStep(
                model, self.layout, momentum=momentum, scaled=staleness_aware
            )
        values = read_vector(model, self.layout)
        self._trainable = values[: self.layout.trainable_size].copy()
        self._statistics = values[self.layout.trainable_size :].copy()

    def vector(self) -> Vector:
        """Return a copy of all weights, ``(size,)``."""
        return np.concatenate([self._trainable, self._statistics])

    def replace(self, vector: Vector) -> None:
        """Set all weights, ``(size,)``."""
        self._trainable = vector[: self.layout.trainable_size].copy()
        self._statistics = vector[self.layout.trainable_size :].copy()
        if self._optimizer is not None:
            self._optimizer.replace(self._trainable)
        self.version += 1

    def refresh(self) -> None:
        """Read the weights back from the optimizer, after overlapping hogwild updates."""
        if self._optimizer is not None:
            self._trainable = self._optimizer.read()

    def write_to_model(self, vector: Vector) -> None:
        """Copy weights ``(size,)`` and the state of the optimizer into the Keras model."""
        write_vector(self.model, self.layout, vector)
        if self._optimizer is not None:
            self._optimizer.write_state(self.model)
        elif parts := self.own_optimizers.latest():
            variables = state_variables(self.model.optimizer)
            for variable, array in zip(variables, unpack(parts, variables), strict=True):
                variable.assign(array)

    def finish(self) -> None:
        """Let the optimizer finish the model's weights, as ``keras.Model.fit`` does at its end.

        With ``use_ema`` they become the moving average. Called after `write_to_model`.
        """
        if self.model.optimizer.built:
            self.model.optimizer.finalize_variable_values(self.model.trainable_weights)

    def set_learning_rate(self, value: float) -> None:
        """Set the learning rate for gradients; deltas are not affected."""
        if self._optimizer is not None:
            self._optimizer.set_learning_rate(value)

    def apply(self, update: Vector, *, staleness: int = 0) -> None:
        """Apply the update of one worker.

        With ``staleness_aware``, a stale update is scaled down, because updates of
        several workers that started from the same weights point in similar directions:

        - A delta is divided by ``1 + staleness``, the rule of Zhang, Gupta, Lian and Liu,
          *Staleness-aware Async-SGD for Distributed Deep Learning*, IJCAI 2016, for
          updates counted from 0. Workers of equal speed thus apply the mean of their
          deltas, and workers that take turns their sum.
        - A gradient is applied at the learning rate divided by ``sqrt(1 + staleness)``
          and, with several workers, by an optimizer without ``beta_1``: Mitliagkas,
          Zhang, Hadjis and Ré, *Asynchrony begets Momentum*, Allerton 2016.
          docs/distributed-training.md shows the measured effect.

        The statistics move by ``1 / workers`` of their distance to the worker's
        statistics. They are a mean, and so stay within the range of the workers' values.

        Args:
            update: Trainable part and statistics, ``(size,)``.
            staleness: Number of updates by others since the worker's last pull.
        """
        cut = self.layout.trainable_size
        share = 1.0
        if self._staleness_aware:
            share = (1 + staleness) ** (-1 if self._optimizer is None else -0.5)
        self._step(update[:cut], share=share)
        self._statistics += (update[cut:] - self._statistics) / self._workers
        self.version += 1

    def apply_mean(self, updates: Sequence[Vector], rows: Sequence[int]) -> None:
        """Apply the mean of several workers' updates, weighted by their rows.

        The updates are summed in the given order, so that equal updates give
        equal weights to the last bit.

        Args:
            updates: One update per worker, ``(size,)``.
            rows: Number of rows behind each update.
        """
        total = sum(rows)
        cut = self.layout.trainable_size
        mean = np.zeros(cut, self.layout.dtype)
        drift = np.zeros_like(self._statistics)
        for update, count in zip(updates, rows, strict=True):
            share = np.asarray(count / total, self.layout.dtype)
            mean += update[:cut] * share
            # The difference, so that unchanged statistics stay the same to the last bit.
            drift += (update[cut:] - self._statistics) * share
        self._step(mean)
        self._statistics += drift
        self.version += 1

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of the arrays from which `restore` continues, by name."""
        optimizer = [] if self._optimizer is None else self._optimizer.state()
        return {
            "weights": self.vector(),
            **{f"optimizer-{index:05d}": array for index, array in enumerate(optimizer)},
        }

    def restore(
        self,
        arrays: Mapping[str, npt.NDArray[Any]],
        own_optimizers: Mapping[tuple[int, int, int], npt.NDArray[Any]],
        version: int,
    ) -> None:
        """Continue from the weights and optimizers of a checkpoint of the same model.

        Args:
            arrays: Result of `arrays`.
            own_optimizers: Vectors of the workers' own optimizers by worker, number of epochs
                and part.
            version: Version of the weights.

        Raises:
            TrainingError: The arrays are those of another model or optimizer.
        """
        require_shape("weights", arrays.get("weights"), (self.layout.size,))
        self.replace(arrays["weights"].astype(self.layout.dtype))
        if self._optimizer is not None:
            names = sorted(name for name in arrays if name.startswith("optimizer-"))
            self._optimizer.restore([arrays[name] for name in names])
        for (worker, epochs, part), vector in own_optimizers.items():
            require_shape("state of an optimizer", vector, (self.layout.size,))
            own = vector.astype(self.layout.dtype)
            self.own_optimizers.receive(worker, epochs, part, own)
        self.version = version

    def _step(self, update: Vector, *, share: float = 1.0) -> None:
        if self._optimizer is None:
            self._trainable -= update * np.asarray(share, self.layout.dtype)
        else:
            self._trainable = self._optimizer(update, share)


def require_shape(name: str, array: npt.NDArray[Any] | None, shape: tuple[int, ...]) -> None:
    """Refuse an array of a checkpoint that has another shape.

    Raises:
        TrainingError: It is missing, or has another shape.
    """
    found = "none" if array is None else str(array.shape)
    if array is None or array.shape != shape:
        raise TrainingError(
            f"the checkpoint is of another model or optimizer: {name}: expected the shape {shape}, "
            f"got {found}. Delete the checkpoint, or fit the model that it belongs to"
        )


def _count_parts(model: Any, layout: WeightLayout) -> int:
    """Return the number of vectors that hold the state of a worker's optimizer."""
    optimizer = model.optimizer
    if not optimizer.built:
        optimizer.build(list(model.trainable_weights))
    nbytes: int = sum(variable.numpy().nbytes for variable in state_variables(optimizer))
    return -(-nbytes // layout.nbytes)
