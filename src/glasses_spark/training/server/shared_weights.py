"""Shared weights: the weights that all workers train, kept in the driver."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from glasses_spark.errors import TrainingError
from glasses_spark.training.optimizers import state_variables, unpack
from glasses_spark.training.server.asynchronous_rules import EveryUpdate, Step
from glasses_spark.training.server.optimizer_step import OptimizerStep
from glasses_spark.training.server.own_optimizers import OwnOptimizers
from glasses_spark.training.server.updates import is_usable, weighted_mean
from glasses_spark.training.weights import (
    Vector,
    WeightLayout,
    layout_of,
    read_vector,
    write_vector,
)

# Names of arrays of a checkpoint.
_AHEAD: Final = "ahead"
_RULE: Final = "rule-"


class SharedWeights:
    """The shared weights as one flat vector.

    Not thread-safe by itself: the coordinator calls it with its lock held, except in hogwild mode
    `apply` and `versioned`, whose callers wait only for a step of the optimizer.

    Args:
        model: Compiled Keras model. A fit starts from its weights; its
            optimizer makes an update of a gradient.
        workers: Number of workers, at least 1.
        uses_gradients: Whether updates are gradients for the optimizer, or
            deltas (weights before minus after), which are subtracted.
        rule: How the updates of asynchronous workers become steps.

    Attributes:
        model: The Keras model.
        layout: Layout of the vectors.
        version: Number of steps and other changes so far.
        own_optimizers: States of the workers' own optimizers, for deltas.
    """

    def __init__(
        self,
        model: Any,
        *,
        workers: int,
        uses_gradients: bool,
        rule: EveryUpdate | None = None,
    ) -> None:
        self.model = model
        self.layout: WeightLayout = layout_of(model)
        self.version = 0
        self._workers = workers
        self._rule = rule or EveryUpdate()
        self._optimizer: OptimizerStep | None = None
        # Two steps at the same time would each undo parts of the other one.
        self._stepping = threading.Lock()
        self.own_optimizers = OwnOptimizers(partial(_count_parts, model, self.layout))
        if uses_gradients:
            self._optimizer = OptimizerStep(
                model,
                self.layout,
                momentum=self._rule.keeps_momentum,
                scaled=self._rule.scales_rate,
            )
        self._set(read_vector(model, self.layout))

    def vector(self) -> Vector:
        """Return a copy of all weights, ``(size,)``."""
        return np.concatenate([self._trainable, self._statistics])

    def versioned(self, *, ahead: bool = False) -> tuple[Vector, int]:
        """Return the weights at which workers compute, ``(size,)``, and their version.

        Not to be changed: callers at one version may get the same array.

        Args:
            ahead: Whether to return them where the rule expects them after the next step.
        """
        # Also hogwild workers wait for a step that is under way: computed at the weights before
        # it, their next update would be two steps old.
        with self._stepping:
            trainable = self._ahead if ahead else self._trainable
            if not self._statistics.size:
                return trainable, self.version  # no step changes it, but sets another one
            return np.concatenate([trainable, self._statistics]), self.version

    def replace(self, vector: Vector) -> None:
        """Set all weights, ``(size,)``."""
        self._set(vector)
        if self._optimizer is not None:
            self._optimizer.replace(self._trainable)
        self.version += 1

    def refresh(self) -> None:
        """Take the step of the last updates, and read the weights back from the optimizer."""
        remainder = self._rule.remainder()
        if remainder is not None:
            self._step(remainder)
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

    def apply(self, update: Vector, *, rows: int, staleness: int = 0) -> None:
        """Apply the update of one worker, as the rule says.

        The statistics move by ``1 / workers`` of their distance to the worker's
        statistics. They are a mean, and so stay within the range of the workers' values.

        Args:
            update: Trainable part and statistics, ``(size,)``.
            rows: Number of rows behind the update.
            staleness: Number of steps since the worker's last pull.
        """
        cut = self.layout.trainable_size
        self._statistics += (update[cut:] - self._statistics) / self._workers
        step = self._rule.step(update[:cut], rows, staleness)
        if step is not None:
            with self._stepping:
                self._step(step)
                self.version += 1

    def apply_mean(self, updates: Sequence[Vector], rows: Sequence[int]) -> bool:
        """Apply the mean of several workers' updates, weighted by their rows.

        The updates are summed in the given order, so that equal updates give
        equal weights to the last bit.

        Args:
            updates: One update per worker, ``(size,)``.
            rows: Number of rows behind each update.

        Returns:
            Whether the mean is usable; if not, nothing has changed.
        """
        total = sum(rows)
        cut = self.layout.trainable_size
        drift = np.zeros_like(self._statistics)
        for update, count in zip(updates, rows, strict=True):
            share = np.asarray(count / total, self.layout.dtype)
            # The difference, so that unchanged statistics stay the same to the last bit.
            drift += (update[cut:] - self._statistics) * share
        if not is_usable(drift):
            return False
        # Deltas are subtracted block by block with the sum: a pass over memory less.
        start = self._trainable if self._optimizer is None else None
        result = weighted_mean([update[:cut] for update in updates], rows, start=start)
        if result is None:
            return False
        if self._optimizer is not None:
            result = self._optimizer(result)
        self._move_to(result)
        self._statistics += drift
        self.version += 1
        return True

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return copies of the arrays from which `restore` continues, by name."""
        optimizer = [] if self._optimizer is None else self._optimizer.state()
        return {
            "weights": self.vector(),
            **{f"optimizer-{index:05d}": array for index, array in enumerate(optimizer)},
            **{f"{_RULE}{name}": array for name, array in self._rule.arrays().items()},
            **({_AHEAD: self._ahead.copy()} if self._rule.look_ahead else {}),
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
        own = {name: array for name, array in arrays.items() if name.startswith(_RULE)}
        self._rule.restore({name.removeprefix(_RULE): array for name, array in own.items()})
        if self._rule.look_ahead:
            require_shape(_AHEAD, arrays.get(_AHEAD), (self.layout.trainable_size,))
            self._ahead = arrays[_AHEAD].astype(self.layout.dtype)
        for (worker, epochs, part), vector in own_optimizers.items():
            require_shape("state of an optimizer", vector, (self.layout.size,))
            self.own_optimizers.receive(worker, epochs, part, vector.astype(self.layout.dtype))
        self.version = version

    def _set(self, vector: Vector) -> None:
        self._trainable = self._ahead = vector[: self.layout.trainable_size].copy()
        self._statistics = vector[self.layout.trainable_size :].copy()

    def _step(self, step: Step) -> None:
        if self._optimizer is None:
            share = np.asarray(step.share, self.layout.dtype)
            delta = step.update if step.share == 1 else step.update * share
            self._move_to(self._trainable - delta)
        else:
            self._move_to(self._optimizer(step.update, step.share))

    def _move_to(self, trainable: Vector) -> None:
        before = self._trainable
        self._trainable = self._ahead = trainable
        if self._rule.look_ahead:
            self._ahead = trainable + (trainable - before) * np.asarray(
                self._rule.look_ahead, self.layout.dtype
            )


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
