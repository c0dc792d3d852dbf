"""Loader of logged MLflow models: their Keras model, with checked pixels.

Logged models refer to this module by its name, which must not change.
"""

from __future__ import annotations

from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from glasses_spark.errors import ScoringError
from glasses_spark.runtime.gpu import take_granted_gpu
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.workers import threads_of_this_process
from glasses_spark.scoring.predictor import Predictor

# Rows in one call of the model: its hidden layers take 30 MB a row at 1024 x 1024.
_BATCH: Final = 32

_BLACK: Final = 0
_WHITE: Final = 255


class LoadedModel:
    """A model as ``mlflow.pyfunc`` calls it.

    Args:
        network: Keras model from images, float32 in [0, 1], to the probability.
    """

    def __init__(self, network: Any) -> None:
        self._predictor = Predictor(network, with_logits=False)

    def predict(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Return the probability of glasses for each image.

        Args:
            pixels: Images ``(rows, height, width, 1)``: numbers in [0, 1], or whole numbers from
                0 black to 255 white. MLflow checks the type of arrays, but not of columns.

        Returns:
            float32 of shape ``(rows, 1)``.

        Raises:
            ScoringError: A pixel is not in its range.
        """
        rows = _checked(pixels).reshape(len(pixels), prod(pixels.shape[1:]))
        batches = [
            self._predictor.predict(rows[start : start + _BATCH])[0][0]
            for start in range(0, len(rows), _BATCH)
        ]
        return np.concatenate(batches or [np.empty((0, 1))]).astype(np.float32)


def _load_pyfunc(path: str) -> LoadedModel:
    """Load a model; ``mlflow.pyfunc`` calls this function by its name."""
    take_granted_gpu()
    keras = import_keras(threads=threads_of_this_process())
    return LoadedModel(keras.models.load_model(path, compile=False))


def _checked(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return pixels as uint8 or float32, after a check of their range."""
    is_whole = pixels.dtype.kind in "iu"
    white = _WHITE if is_whole else 1
    is_inside = pixels.dtype.kind in "iuf" and (
        # False for NaN as well.
        pixels.size == 0 or bool(pixels.min() >= _BLACK and pixels.max() <= white)
    )
    if not is_inside:
        found = f" from {pixels.min()} to {pixels.max()}" if pixels.dtype.kind in "iuf" else ""
        raise ScoringError(
            "expected pixels as numbers in [0, 1], or as whole numbers from 0 to 255, got "
            f"{pixels.dtype}{found}. Divide grey levels by 255"
        )
    return pixels.astype(np.uint8 if is_whole else np.float32)
