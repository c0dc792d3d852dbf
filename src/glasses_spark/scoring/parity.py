"""Parity: the largest difference between an exported model and Keras on the same input."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from glasses_spark.extras import require_extra
from glasses_spark.runtime.keras import import_keras
from glasses_spark.scoring.export import KERAS, ONNX, OPENVINO, SAVED_MODEL, TFLITE

# Largest difference of a probability in float32 that is only rounding: runtimes add in other
# orders.
TOLERANCE: Final = 1e-5

Runs = Callable[[NDArray[Any]], Any]


def largest_difference(network: Any, path: Path, batch: NDArray[Any], *, format: str) -> float:
    """Compare an exported model with the Keras model that it comes from.

    Args:
        network: The Keras model that was exported.
        path: Where ``export_model`` has written it.
        batch: Rows of the model's input, at least one.
        format: One of ``ENDINGS``.

    Returns:
        The largest absolute difference of an output.

    Raises:
        SetupError: The package that runs the format is not installed.
    """
    runs = {
        KERAS: _keras,
        SAVED_MODEL: _saved_model,
        ONNX: _onnx,
        OPENVINO: _openvino,
        TFLITE: _tflite,
    }
    expected = network.predict(batch, verbose=0)
    found = np.asarray(runs[format](path)(batch))
    return float(np.max(np.abs(found.astype(np.float64) - expected.astype(np.float64))))


def _keras(path: Path) -> Runs:
    network = import_keras().saving.load_model(path, compile=False)
    return lambda batch: network.predict(batch, verbose=0)


def _saved_model(path: Path) -> Runs:
    import tensorflow as tf

    # Its variables live as long as the loaded object.
    loaded = tf.saved_model.load(str(path))
    return lambda batch: loaded.serve(batch)


def _onnx(path: Path) -> Runs:
    openvino = require_extra("openvino", extra="scoring", purpose="comparing with Keras")
    return _compiled(openvino, path.read_bytes())


def _openvino(path: Path) -> Runs:
    openvino = require_extra("openvino", extra="scoring", purpose="comparing with Keras")
    return _compiled(openvino, path)


def _compiled(openvino: Any, model: Any) -> Runs:
    core = openvino.Core()
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(core.read_model(model), "CPU", settings)
    return lambda batch: compiled(batch)[0]


def _tflite(path: Path) -> Runs:
    import warnings

    import tensorflow as tf

    with warnings.catch_warnings():
        # TensorFlow advises its successor, the package ai-edge-litert.
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(str(path))
    place = interpreter.get_input_details()[0]["index"]

    def run(batch: NDArray[Any]) -> Any:
        interpreter.resize_tensor_input(place, batch.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(place, batch)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    return run
