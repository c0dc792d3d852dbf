"""Random states: the generators of a model's random layers, such as Dropout.

A layer without a seed draws one when it is created, and Keras does not save it. With the states
beside the model, a worker draws the numbers that ``keras.Model.fit`` would draw.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

_LARGEST_SEED: Final = 1_000_000_000  # as in Keras


def random_states(model: Any) -> list[list[int]]:
    """Return the state of each random generator of a model: two numbers each."""
    return RandomGenerators(model).read()


def set_random_states(model: Any, states: Sequence[Sequence[int]]) -> None:
    """Set the state of each random generator of a model.

    Args:
        model: A model.
        states: Result of `random_states` for a model of the same layers.
    """
    RandomGenerators(model).write(states)


class RandomGenerators:
    """The random generators of one model, for workers that share it.

    Args:
        model: A model.
    """

    def __init__(self, model: Any) -> None:
        self._generators = _generators(model)

    def read(self) -> list[list[int]]:
        """Return the state of each generator: two numbers each."""
        return [np.asarray(generator.state).tolist() for generator in self._generators]

    def write(self, states: Sequence[Sequence[int]]) -> None:
        """Set the state of each generator.

        Raises:
            ValueError: The states are those of other generators.
        """
        for generator, state in zip(self._generators, states, strict=True):
            generator.state.assign(np.asarray(state))

    def draw(self, seed: int) -> list[list[int]]:
        """Return states in which generators without a seed of their own have one from ``seed``."""
        drawn = random.Random(seed)
        return [
            [drawn.randint(1, _LARGEST_SEED), 0] if generator._initial_seed is None else state
            for generator, state in zip(self._generators, self.read(), strict=True)
        ]


def has_generator(layer: Any) -> bool:
    """Return whether a layer itself draws random numbers from a generator."""
    return bool(layer._seed_generators)


def _generators(model: Any) -> list[Any]:
    # Layers may share one.
    unique = {
        id(generator): generator
        for layer in model._flatten_layers()
        for generator in layer._seed_generators
    }
    return list(unique.values())
