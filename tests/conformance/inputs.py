"""Inputs: features and labels of the training rows."""

from __future__ import annotations

from typing import Final

import numpy as np

from tests.conformance.engine import Array

# Not a multiple of the batch size: the last batch is smaller. Few rows for scenarios of which
# there are many.
ROWS: Final = 10
FEW_ROWS: Final = 7

# Shapes of one row, by kind of input.
SHAPES: Final = {
    "vector": (4,),
    "sequence": (5, 4),
    "image": (6, 6, 2),
    "volume": (4, 4, 4, 2),
    "film1d": (2, 5, 2),
    "film2d": (2, 5, 5, 2),
    "film3d": (2, 4, 4, 4, 2),
    "picture": (6, 6, 3),
    "audio": (64,),
    "signal": (64, 1),
    "number": (1,),
    "token": (1,),
    "tokens": (5,),
    "pair": (2,),
    "text": (1,),
}
DTYPES: Final = {"token": "int64", "tokens": "int64", "pair": "int64", "text": "string"}


def features(kind: str) -> Array:
    """Draw the features of a kind, ``(rows, *shape)``."""
    draw, shape = draw_numbers(), (ROWS, *SHAPES[kind])
    if kind == "text":
        return draw.choice(["a", "b b", "c A", "d"], size=shape).astype(object)
    if "int" in DTYPES.get(kind, ""):
        return draw.integers(0, 6, size=shape)
    if kind == "picture":
        return draw.uniform(0, 255, size=shape).astype("float32")
    x = draw.normal(size=shape).astype("float32")
    if kind == "sequence":
        x[:, 3:] *= draw.integers(0, 2, size=(ROWS, 1, 1))  # rows with masked steps
    return x


def draw_numbers() -> np.random.Generator:
    """Return a generator, the same each time."""
    return np.random.default_rng(3)


def binary_labels() -> Array:
    """Return labels 0 and 1, ``(rows, 1)``."""
    return np.arange(ROWS).reshape(-1, 1) % 3 % 2 * np.float32(1)
