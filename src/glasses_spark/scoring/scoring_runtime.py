"""Scoring runtime: the choice of what computes a model in `transform`, by comparison with Keras."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pyspark.ml.param import Param, Params, TypeConverters

from glasses_spark.errors import GlassesSparkError, ScoringError
from glasses_spark.runtime.causes import describe
from glasses_spark.scoring.compiled_predictor import CompiledModel
from glasses_spark.scoring.features import STRING
from glasses_spark.scoring.parity import TOLERANCE
from glasses_spark.scoring.predictor import Predictor, TrainedModel, cached_predictor
from glasses_spark.scoring.runtimes import AUTO, ONNX, OPENVINO, installed_runtime

KERAS: Final = "keras"
SCORING_RUNTIMES: Final = (KERAS, ONNX, OPENVINO, AUTO)

FLOAT32: Final = "float32"
BFLOAT16: Final = "bfloat16"
PRECISIONS: Final = (FLOAT32, BFLOAT16)

# Random rows with which a runtime is compared with Keras, in the driver.
ROWS: Final = 256

logger = logging.getLogger(__name__)


class HasScoringRuntime(Params):
    """Mixin of a model: what computes it in ``transform`` and ``evaluate``."""

    scoring_runtime: Param[str] = Param(
        Params._dummy(),
        "scoring_runtime",
        "what computes the model: keras, onnx, openvino, or auto for one of these that is "
        "installed and agrees with Keras",
        TypeConverters.toString,
    )
    scoring_precision: Param[str] = Param(
        Params._dummy(),
        "scoring_precision",
        "float32, or bfloat16 to let OpenVINO round to it",
        TypeConverters.toString,
    )

    def _set_runtime_defaults(self) -> None:
        self._setDefault(scoring_runtime=KERAS, scoring_precision=FLOAT32)
        self._compiled: dict[str, TrainedModel] = {}

    def runtime_params(self) -> dict[str, str]:
        """Return the Params, to save them."""
        return {
            param.name: self.getOrDefault(param)
            for param in (self.scoring_runtime, self.scoring_precision)
        }

    def _for_runtime(
        self, trained: TrainedModel, dtypes: Sequence[str], *, with_logits: bool
    ) -> TrainedModel:
        """Return the model for what is to compute it; see ``compile_model``."""
        runtime, precision = self.runtime_params().values()
        for param, value, known in (
            (self.scoring_runtime, runtime, SCORING_RUNTIMES),
            (self.scoring_precision, precision, PRECISIONS),
        ):
            if value not in known:
                raise ScoringError(
                    f"{param.name}: expected one of {', '.join(known)}, got {value!r}"
                )
        key = f"{trained.digest}/{runtime}/{precision}/{dtypes}/{with_logits}"
        if key not in self._compiled:
            self._compiled = {
                key: compile_model(
                    trained,
                    dtypes,
                    with_logits=with_logits,
                    runtime=runtime,
                    precision=precision,
                )
            }
        return self._compiled[key]


def compile_model(
    trained: TrainedModel,
    dtypes: Sequence[str],
    *,
    with_logits: bool,
    runtime: str,
    precision: str = FLOAT32,
) -> TrainedModel:
    """Prepare a model for the runtime that is to score it.

    The model is converted to ONNX and compared with Keras on random rows, in this process.

    Args:
        trained: The model.
        dtypes: NumPy type of the features of each input, or ``string``.
        with_logits: See `Predictor`.
        runtime: One of ``SCORING_RUNTIMES``. ``auto`` takes OpenVINO, else ONNX Runtime, and
            Keras if that is not installed, cannot compute the model or differs by more than
            ``TOLERANCE``; the log says so.
        precision: ``float32``, or ``bfloat16`` to let OpenVINO round to it.

    Returns:
        The model for ``cached_predictor``.

    Raises:
        ScoringError: The runtime cannot compute the model, or differs from Keras.
        SetupError: The packages of the extra ``scoring`` are not installed.
    """
    if precision == BFLOAT16 and runtime not in (OPENVINO, AUTO):
        raise ScoringError(
            f"scoring_precision=bfloat16 needs scoring_runtime openvino or auto, got {runtime}"
        )
    if runtime == KERAS:
        return trained
    bfloat16 = precision == BFLOAT16
    chosen = installed_runtime(bfloat16=bfloat16) if runtime == AUTO else runtime
    try:
        return _compiled(trained, dtypes, chosen, with_logits=with_logits, bfloat16=bfloat16)
    except GlassesSparkError as error:
        if runtime != AUTO:
            raise
        logger.info("Keras scores: %s", error)
        return trained


def _compiled(
    trained: TrainedModel,
    dtypes: Sequence[str],
    runtime: str,
    *,
    with_logits: bool,
    bfloat16: bool,
) -> TrainedModel:
    if STRING in dtypes:
        raise ScoringError(f"the runtime {runtime} takes no strings")
    keras = cached_predictor(trained, with_logits=with_logits)
    assert isinstance(keras, Predictor)  # no other runtime was asked for
    try:
        content = keras.to_onnx(dtypes)
    except Exception as error:
        raise ScoringError(f"the model cannot be converted to ONNX: {describe(error)}") from error
    precision = BFLOAT16 if bfloat16 else FLOAT32
    compiled = replace(
        trained,
        digest=f"{trained.digest}/{runtime}/{precision}/{'-'.join(dtypes)}",
        weights=(),
        archive=None,
        compiled=CompiledModel(runtime, bfloat16, keras.shapes),
        onnx=content,
    )
    rows = [
        _random(shape, dtype, seed)
        for seed, (shape, dtype) in enumerate(zip(keras.shapes, dtypes, strict=True))
    ]
    expected, _ = keras.predict(*rows)
    found, _ = cached_predictor(compiled, with_logits=with_logits).predict(*rows)
    difference = max(map(_difference, found, expected))
    if not (difference <= TOLERANCE or (bfloat16 and np.isfinite(difference))):
        raise ScoringError(
            f"the runtime {runtime} differs from Keras by {difference:.1e} on random rows, more "
            f"than {TOLERANCE:.0e}. Set scoring_runtime to keras"
        )
    logger.info(
        "%s scores in %s: differs from Keras by at most %.1e on %d random rows",
        runtime,
        precision,
        difference,
        ROWS,
    )
    return compiled


def _random(shape: Sequence[int], dtype: str, seed: int) -> NDArray[Any]:
    random = np.random.default_rng(seed)
    size = (ROWS, int(np.prod(shape)))
    if dtype == "uint8":
        return random.integers(0, 256, size, np.uint8)
    if np.dtype(dtype).kind in "iu":
        # Legal indices of any embedding.
        return random.integers(0, 2, size).astype(dtype)
    return random.uniform(0, 1, size).astype(dtype)


def _difference(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """Return the largest difference, relative for numbers above 1."""
    return float(np.max(np.abs(found - expected) / np.maximum(1, np.abs(expected))))
