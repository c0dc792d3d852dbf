"""Weights: a model's trained weights as one flat vector, as sent over the network."""

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
    """Position and shape of each weight in the flat vector.

    Attributes:
        trainable: Shapes of the trainable weights, which are first in the vector.
        statistics: Shapes of the weights that training changes without a
            gradient, such as the moving mean of a BatchNormalization.
        dtype: ``float32`` or ``float64``, the type of every number.
    """

    trainable: tuple[Shape, ...]
    statistics: tuple[Shape, ...]
    dtype: str

    @property
    def trainable_size(self) -> int:
        """Number of trainable parameters."""
        return sum(prod(shape) for shape in self.trainable)

    @property
    def size(self) -> int:
        """Length of the vector."""
        return self.trainable_size + sum(prod(shape) for shape in self.statistics)

    @property
    def nbytes(self) -> int:
        """Length of the vector in bytes."""
        return self.size * np.dtype(self.dtype).itemsize

    def split(self, vector: Vector) -> list[Vector]:
        """Split a flat vector ``(size,)`` into views with the weights' shapes."""
        arrays, start = [], 0
        for shape in (*self.trainable, *self.statistics):
            stop = start + prod(shape)
            arrays.append(vector[start:stop].reshape(shape))
            start = stop
        return arrays

    def join(self, arrays: Sequence[Any]) -> Vector:
        """Copy weights, in the order of the layout, into one flat vector ``(size,)``."""
        if not arrays:
            return np.zeros(0, self.dtype)
        return np.concatenate([np.asarray(array, self.dtype).ravel() for array in arrays])


def exchanged_variables(model: Any) -> tuple[list[Any], list[Any]]:
    """Return the variables of a Keras model that workers and server exchange.

    Frozen layers are not among them: their weights are the same everywhere, and in
    transfer learning they are most of the model.

    Args:
        model: A built Keras model.

    Returns:
        The trainable variables, and the variables that training changes without a
        gradient. Integer variables, such as counters and random states, are each
        worker's own and are in neither list.
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


def frozen_weights(model: Any) -> dict[int, Any]:
    """Return the weights that are not exchanged, by their index in ``model.weights``."""
    exchanged = {id(variable) for group in exchanged_variables(model) for variable in group}
    return {
        index: variable.numpy()
        for index, variable in enumerate(model.weights)
        if id(variable) not in exchanged
    }


def layout_of(model: Any) -> WeightLayout:
    """Return the layout of the flat vector of a built Keras model."""
    trainable, statistics = exchanged_variables(model)
    has_float64 = any(str(variable.dtype) == "float64" for variable in (*trainable, *statistics))
    return WeightLayout(
        trainable=tuple(tuple(variable.shape) for variable in trainable),
        statistics=tuple(tuple(variable.shape) for variable in statistics),
        dtype="float64" if has_float64 else "float32",
    )


def read_vector(model: Any, layout: WeightLayout) -> Vector:
    """Copy the exchanged weights of a model into a flat vector."""
    trainable, statistics = exchanged_variables(model)
    return layout.join([variable.numpy() for variable in (*trainable, *statistics)])


def write_vector(model: Any, layout: WeightLayout, vector: Vector) -> None:
    """Set the exchanged weights of a model from a flat vector."""
    trainable, statistics = exchanged_variables(model)
    for variable, array in zip((*trainable, *statistics), layout.split(vector), strict=True):
        variable.assign(array)


def _training_layers(layer: Any) -> list[Any]:
    """Return the layers without inner layers, except frozen ones."""
    if not layer.trainable:
        return []
    inner = getattr(layer, "layers", None)
    if not inner:
        return [layer]
    return [leaf for child in inner for leaf in _training_layers(child)]
