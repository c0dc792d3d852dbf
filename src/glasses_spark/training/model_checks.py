"""Model checks: what a model must be before it is trained."""

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
    """Build a model whose initializers, where they have no seed of their own, are seeded."""
    # Keras draws such seeds from Python's generator, which is the user's as
    # well, and that of a fit in another thread.
    with _seeding:
        kept = random.getstate()
        random.seed(seed)
        try:
            return spec.build()
        finally:
            random.setstate(kept)


def require_mean_loss(loss: Any) -> None:
    """Refuse a loss that is no mean over the rows: means of workers add up, others do not."""
    config = loss.get("config") if isinstance(loss, Mapping) else None
    reduction = (
        config.get("reduction") if isinstance(config, Mapping) else getattr(loss, "reduction", None)
    )
    if reduction not in (None, "sum_over_batch_size", "mean"):
        raise TrainingError(
            f"loss: expected the reduction 'sum_over_batch_size', got {reduction!r}, which "
            "depends on how many rows a worker has in a batch"
        )


def require_built(model: Any) -> None:
    if not model.built:
        raise TrainingError(
            "expected a model that knows the shape of its input, got one without; begin it with "
            "keras.Input(shape)"
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise TrainingError(
            f"expected a model with one input and one output, got {len(model.inputs)} and "
            f"{len(model.outputs)}"
        )


def model_type_of(model: Any, loss: Any) -> ModelType:
    """Whether a row's prediction is an array (classification) or a number (regression)."""
    known = LossModelTypeMapper().get_model_type(loss) if isinstance(loss, str) else None
    if known is not None:
        return known
    activation = getattr(model.layers[-1], "activation", None)
    squashed = getattr(activation, "__name__", "") in ("sigmoid", "softmax")
    one_number = model.output_shape[1:] == (1,)
    return ModelType.REGRESSION if one_number and not squashed else ModelType.CLASSIFICATION
