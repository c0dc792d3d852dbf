"""Compiled predictor: scores batches of rows with another runtime than Keras."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from glasses_spark.runtime.workers import threads_of_this_process
from glasses_spark.scoring.runtimes import open_runtime

# Values in one call, so that they stay in the processor's cache: 32 rows of 128 x 128 pixels take
# OpenVINO 0.85 of the time of 256 rows.
_VALUES: Final = 32 * 128 * 128

# Rows in one call: fewer are called too often, and more save nothing.
_FEWEST_ROWS, _MOST_ROWS = 8, 256


@dataclass(frozen=True)
class CompiledModel:
    """How a runtime other than Keras computes a model.

    Attributes:
        runtime: ``openvino`` or ``onnx``.
        bfloat16: Whether it may round to bfloat16.
        shapes: Shape of each input, without the batch dimension.
    """

    runtime: str
    bfloat16: bool
    shapes: tuple[tuple[int, ...], ...]

    @property
    def batch_size(self) -> int:
        """Rows in one call of the model, unless the user sets them."""
        values = max(1, sum(map(prod, self.shapes)))
        return min(_MOST_ROWS, max(_FEWEST_ROWS, _VALUES // values))


class CompiledPredictor:
    """Scores rows as `Predictor` does, with another runtime than Keras.

    Args:
        compiled: How it computes.
        onnx: The model, from ``Predictor.to_onnx``.
        with_logits: As for `Predictor`.

    Attributes:
        shapes: As for `Predictor`.

    Raises:
        ScoringError: The runtime cannot load the model.
        SetupError: The package of the runtime is not installed.
    """

    def __init__(self, compiled: CompiledModel, onnx: bytes, *, with_logits: bool) -> None:
        self.shapes = compiled.shapes
        self._with_logits = with_logits
        self._run = open_runtime(
            onnx,
            runtime=compiled.runtime,
            threads=threads_of_this_process(),
            bfloat16=compiled.bfloat16,
        )

    def predict(
        self, *features: npt.NDArray[Any]
    ) -> tuple[tuple[npt.NDArray[np.float64], ...], npt.NDArray[np.float64]]:
        """Score rows; see ``Predictor.predict``."""
        found = self._run([np.ascontiguousarray(values) for values in features])
        outputs = tuple(output.astype(np.float64) for output in found)
        if not self._with_logits:
            return outputs, outputs[0]
        # In float32, as TensorFlow does; exp of its largest number is infinite, which is right.
        with np.errstate(over="ignore"):
            probability = 1 / (1 + np.exp(-found[0]))
        return (probability.astype(np.float64),), outputs[0]
