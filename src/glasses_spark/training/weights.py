"""Weights: a model's trained numbers as one flat vector, the form in which they travel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

Vector = npt.NDArray[np.floating[Any]]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class WeightLayout:
    """Where each weight lies in the flat vector.

    Attributes:
        trainable: Shapes of the trainable weights, which come first.
        statistics: Shapes of the weights that training changes without a
            gradient, such as the moving mean of a BatchNormalization.
        dtype: ``float32`` or ``float64``, the type of every number.
    """

    trainable: tuple[Shape, ...]
    statistics: tuple[Shape, ...]
    dtype: str

    @property
    def trainable_size(self) -> int:
        """Count of trainable numbers."""
        return sum(prod(shape) for shape in self.trainable)

    @property
    def size(self) -> int:
        """Count of all numbers in the vector."""
        return self.trainable_size + sum(prod(shape) for shape in self.statistics)

    @property
    def nbytes(self) -> int:
        """Length of the vector in bytes."""
        return self.size * np.dtype(self.dtype).itemsize

    def split(self, vector: Vector) -> list[Vector]:
        """Cut a flat vector ``(size,)`` into views of the weights' shapes."""
        arrays, start = [], 0
        for shape in (*self.trainable, *self.statistics):
            stop = start + prod(shape)
            arrays.append(vector[start:stop].reshape(shape))
            start = stop
        return arrays

    def join(self, arrays: Sequence[Any]) -> Vector:
        """Copy weights, in the layout's order, into one flat vector ``(size,)``."""
        if not arrays:
            return np.zeros(0, self.dtype)
        return np.concatenate([np.asarray(array, self.dtype).ravel() for array in arrays])


def travelling_variables(model: Any) -> tuple[list[Any], list[Any]]:
    """Tell which variables of a Keras model change while it trains.

    Frozen layers stay at home: they are the same everywhere, and in transfer
    learning they are most of the model.

    Args:
        model: A built Keras model.

    Returns:
        The trainable variables, and those that training changes without a
        gradient. Counters and random states, which are whole numbers, are
        each worker's own and are in neither list.
    """
    trainable = list(model.trainable_weights)
    statistics = [
        variable
        for layer in _training_layers(model)
        for variable in layer.non_trainable_weights
        if "float" in str(variable.dtype)
    ]
    unique = {id(variable): variable for variable in statistics}
    return trainable, list(unique.values())


def layout_of(model: Any) -> WeightLayout:
    """Describe the flat vector of a built Keras model."""
    trainable, statistics = travelling_variables(model)
    wide = any(str(variable.dtype) == "float64" for variable in (*trainable, *statistics))
    return WeightLayout(
        trainable=tuple(tuple(variable.shape) for variable in trainable),
        statistics=tuple(tuple(variable.shape) for variable in statistics),
        dtype="float64" if wide else "float32",
    )


def read_vector(model: Any, layout: WeightLayout) -> Vector:
    """Copy a model's travelling weights into a flat vector."""
    trainable, statistics = travelling_variables(model)
    return layout.join([variable.numpy() for variable in (*trainable, *statistics)])


def write_vector(model: Any, layout: WeightLayout, vector: Vector) -> None:
    """Set a model's travelling weights from a flat vector."""
    trainable, statistics = travelling_variables(model)
    for variable, array in zip((*trainable, *statistics), layout.split(vector), strict=True):
        variable.assign(array)


def _training_layers(layer: Any) -> list[Any]:
    """The layers without layers inside, less those that are frozen."""
    if not layer.trainable:
        return []
    inner = getattr(layer, "layers", None)
    if not inner:
        return [layer]
    return [leaf for child in inner for leaf in _training_layers(child)]
