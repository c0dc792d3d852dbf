"""Runtimes that compute an exported model: OpenVINO and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from glasses_spark.errors import ScoringError, SetupError
from glasses_spark.extras import require_extra

OPENVINO: Final = "openvino"
ONNX: Final = "onnx"
AUTO: Final = "auto"
RUNTIMES: Final = (AUTO, OPENVINO, ONNX)

Predict = Callable[[NDArray[Any]], NDArray[np.float32]]


def open_runtime(content: bytes, *, runtime: str = AUTO, threads: int | None = None) -> Predict:
    """Load a model into a runtime.

    Args:
        content: An ONNX file. From memory, so that it cannot refer to other files.
        runtime: ``openvino``, ``onnx``, or ``auto`` for the first one that is installed.
        threads: Threads that compute, at least 1; None: one for each core.

    Returns:
        A function from a batch to the model's first output. Threads may call it at the same
        time.

    Raises:
        ScoringError: The runtime cannot load the model.
        SetupError: The package of the runtime is not installed.
    """
    if runtime == AUTO:
        try:
            return _open(_openvino, content, threads)
        except SetupError:
            return _open(_onnx, content, threads)
    return _open({OPENVINO: _openvino, ONNX: _onnx}[runtime], content, threads)


def _open(
    loader: Callable[[bytes, int | None], Predict], content: bytes, threads: int | None
) -> Predict:
    try:
        return loader(content, threads)
    except (SetupError, ScoringError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ScoringError(f"the model cannot be loaded: {reason}. Export it again") from error


def _openvino(content: bytes, threads: int | None) -> Predict:
    openvino = require_extra("openvino", extra="scoring", purpose="scoring without Spark")
    core = openvino.Core()
    settings: dict[str, Any] = {
        # On processors with bfloat16 OpenVINO would compute in it.
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
    }
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    compiled = core.compile_model(core.read_model(content), "CPU", settings)

    def predict(batch: NDArray[Any]) -> NDArray[np.float32]:
        # A request of its own for each call: one is not safe for several threads.
        result: NDArray[np.float32] = compiled.create_infer_request().infer([batch])[0]
        return result

    return predict


def _onnx(content: bytes, threads: int | None) -> Predict:
    onnxruntime = require_extra("onnxruntime", extra="scoring", purpose="scoring without Spark")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def predict(batch: NDArray[Any]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = session.run(None, {name: batch})[0]
        return result

    return predict
