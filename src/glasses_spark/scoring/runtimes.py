"""Runtimes that compute a model in ONNX: OpenVINO and ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from glasses_spark.errors import ScoringError, SetupError
from glasses_spark.extras import require_extra

OPENVINO: Final = "openvino"
ONNX: Final = "onnx"
AUTO: Final = "auto"
RUNTIMES: Final = (AUTO, OPENVINO, ONNX)

# From a batch for each input to the outputs.
Run = Callable[[Sequence[NDArray[Any]]], list[NDArray[np.float32]]]

_PURPOSE: Final = "scoring without Keras"


def installed_runtime(*, bfloat16: bool = False) -> str:
    """Return the runtime that ``auto`` stands for in this process.

    Args:
        bfloat16: Whether it has to know bfloat16.
    """
    is_other = find_spec("openvino") is None and find_spec("onnxruntime") is not None
    return ONNX if is_other and not bfloat16 else OPENVINO


def open_runtime(
    content: bytes,
    *,
    runtime: str = AUTO,
    threads: int | None = None,
    bfloat16: bool = False,
) -> Run:
    """Load a model into a runtime.

    Args:
        content: An ONNX file. From memory, so that it cannot refer to other files.
        runtime: ``openvino``, ``onnx``, or ``auto`` for the first one that is installed.
        threads: Threads that compute, at least 1; None: one for each core.
        bfloat16: Whether OpenVINO may round to bfloat16 where the processor computes in it.

    Returns:
        A function that threads may call at the same time.

    Raises:
        ScoringError: The runtime cannot load the model, or does not know bfloat16.
        SetupError: The package of the runtime is not installed.
    """
    if runtime == AUTO:
        runtime = installed_runtime(bfloat16=bfloat16)
    try:
        if runtime == OPENVINO:
            return _openvino(content, threads, bfloat16=bfloat16)
        if bfloat16:
            raise ScoringError("bfloat16 needs the runtime openvino, got onnx")
        return _onnx(content, threads)
    except (SetupError, ScoringError):
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ScoringError(f"the model cannot be loaded: {reason}. Export it again") from error


def _openvino(content: bytes, threads: int | None, *, bfloat16: bool) -> Run:
    openvino = require_extra("openvino", extra="scoring", purpose=_PURPOSE)
    core = openvino.Core()
    settings: dict[str, Any] = {
        # On processors with bfloat16 OpenVINO would compute in it.
        "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
        "PERFORMANCE_HINT": "LATENCY",
        # Otherwise each process of one thread would bind it to the same first core.
        "ENABLE_CPU_PINNING": False,
    }
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    compiled = core.compile_model(core.read_model(content), "CPU", settings)

    def run(batches: Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]:
        # A request of its own for each call: one is not safe for several threads.
        found = compiled.create_infer_request().infer(list(batches))
        return [found[index] for index in range(len(found))]

    return run


def _onnx(content: bytes, threads: int | None) -> Run:
    onnxruntime = require_extra("onnxruntime", extra="scoring", purpose=_PURPOSE)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [place.name for place in session.get_inputs()]

    def run(batches: Sequence[NDArray[Any]]) -> list[NDArray[np.float32]]:
        found: list[NDArray[np.float32]] = session.run(None, dict(zip(names, batches, strict=True)))
        return found

    return run
