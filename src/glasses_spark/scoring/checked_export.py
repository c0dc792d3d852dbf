"""Checked export: a fitted model for another runtime, compared with Keras on random input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from glasses_spark.errors import ScoringError
from glasses_spark.scoring.export import (
    ENDINGS,
    export_model,
    package_versions,
    with_pixel_input,
)
from glasses_spark.scoring.model_metadata import ModelMetadata
from glasses_spark.scoring.parity import TOLERANCE, largest_difference

# The transformer imports this module.
if TYPE_CHECKING:
    from glasses_spark.scoring.transformer import GlassesModel

# Rows of random input with which each exported model is compared with Keras.
RANDOM_ROWS: Final = 32


def export_checked(model: GlassesModel, path: str, *, format: str, pixels: bool) -> None:
    """Export a fitted model; see ``GlassesModel.export``."""
    file = output_path(path, format)
    network = model.keras_model()
    shape = _image_shape(network)
    if pixels:
        if shape is None:
            raise ScoringError(
                "pixels=True needs a model of images (batch, height, width, 1), found the input "
                f"{[tuple(port.shape) for port in network.inputs]}. Leave pixels out"
            )
        network = with_pixel_input(network)
    height, width = shape or (None, None)
    metadata = ModelMetadata(
        height=height,
        width=width,
        takes_pixels=pixels,
        temperature=model.get_temperature(),
        labels=(),
        digest=model._trained().digest,
        versions=package_versions(),
    )
    write_checked(network, file, random_rows(network, seed=0), metadata, format=format)


def output_path(path: str, format: str) -> Path:
    """Return the path of an exported model.

    Raises:
        ScoringError: The format is unknown, or the name has another ending.
    """
    if format not in ENDINGS:
        raise ScoringError(f"format: expected one of {', '.join(ENDINGS)}, got {format!r}")
    ending = ENDINGS[format]
    if ending and Path(path).suffix != ending:
        raise ScoringError(f"expected a name with {ending} for {format}, got {path}")
    return Path(path)


def write_checked(
    network: Any, path: Path, batch: Any, metadata: ModelMetadata, *, format: str
) -> float:
    """Export a model, and return the largest difference from Keras.

    Args:
        network: Keras model.
        path: Return value of ``output_path``.
        batch: Rows to compare, at least one.
        metadata: As for ``export_model``.
        format: One of ``ENDINGS``.

    Raises:
        ScoringError: The exported model differs by more than ``TOLERANCE``; an earlier one stays.
    """
    found: list[float] = []

    def check(made: Path) -> None:
        found.append(largest_difference(network, made, batch, format=format))
        if not found[0] <= TOLERANCE:  # NaN is no difference either
            raise ScoringError(
                f"{path}: the exported model would differ from Keras by {found[0]:.1e}, more than "
                f"{TOLERANCE:.0e}, so it is not written. Export to another format"
            )

    export_model(network, path, metadata, format=format, check=check)
    return found[0]


def random_rows(network: Any, *, seed: int) -> NDArray[Any]:
    """Return random rows for the one input of a model.

    Args:
        network: Keras model; an open side of its input gets 7 values.
        seed: Seed of the values: integers from 0 to 255, or float32 in [0, 1].

    Raises:
        ScoringError: The model has several inputs.
    """
    if len(network.inputs) != 1:
        raise ScoringError(
            f"export needs a model of one input, found {len(network.inputs)}. Save it as .keras"
        )
    (port,) = network.inputs
    shape = [RANDOM_ROWS, *(7 if side is None else side for side in port.shape[1:])]
    random = np.random.default_rng(seed)
    if np.dtype(port.dtype).kind in "iu":
        return random.integers(0, 256, shape).astype(port.dtype)
    return random.uniform(0, 1, shape).astype(port.dtype)


def _image_shape(network: Any) -> tuple[int, int] | None:
    """Return height and width if the model has one input of grey images."""
    shape = tuple(network.inputs[0].shape)
    if len(network.inputs) != 1 or len(shape) != 4 or shape[3] != 1 or None in shape[1:]:
        return None
    return shape[1], shape[2]
