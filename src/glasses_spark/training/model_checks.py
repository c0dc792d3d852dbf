"""Model checks: requirements of a model before it is trained."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from typing import Any

from glasses_spark.errors import TrainingError
from glasses_spark.runtime.elephas import LossModelTypeMapper, ModelType
from glasses_spark.training.model_spec import ModelSpec

_seeding = threading.Lock()


def build_seeded(spec: ModelSpec, seed: int) -> Any:
    """Build a model, and seed its initializers that have no seed of their own."""
    # Keras draws their seeds from Python's global generator, which user code and fits in
    # other threads use as well.
    with _seeding:
        state = random.getstate()
        random.seed(seed)
        try:
            return spec.build()
        finally:
            random.setstate(state)


def require_mean_loss(loss: Any) -> None:
    """Refuse a loss that is not a mean over the rows of a batch.

    The server averages the workers' updates by their rows, which is correct for means
    only.
    """
    config = loss.get("config") if isinstance(loss, Mapping) else None
    reduction = (
        config.get("reduction") if isinstance(config, Mapping) else getattr(loss, "reduction", None)
    )
    if reduction not in (None, "sum_over_batch_size", "mean"):
        raise TrainingError(
            f"loss: expected the reduction 'sum_over_batch_size', got {reduction!r}, which "
            "depends on the number of rows in a worker's batch"
        )


def require_supported_model(model: Any) -> None:
    """Refuse a model without an input shape, or with several inputs or outputs."""
    if not model.built:
        raise TrainingError(
            "expected a model with an input shape, got one without; begin it with "
            "keras.Input(shape)"
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise TrainingError(
            f"expected a model with one input and one output, got {len(model.inputs)} and "
            f"{len(model.outputs)}"
        )


def model_type_of(model: Any, loss: Any) -> ModelType:
    """Return whether a prediction is an array (classification) or a number (regression)."""
    by_loss = LossModelTypeMapper().get_model_type(loss) if isinstance(loss, str) else None
    if by_loss is not None:
        return by_loss
    activation = getattr(model.layers[-1], "activation", None)
    is_probability = getattr(activation, "__name__", "") in ("sigmoid", "softmax")
    is_one_number = model.output_shape[1:] == (1,)
    if is_one_number and not is_probability:
        return ModelType.REGRESSION
    return ModelType.CLASSIFICATION
