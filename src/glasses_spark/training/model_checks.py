"""Model checks: requirements of a model before it is trained."""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from typing import Any

from glasses_spark.errors import TrainingError
from glasses_spark.runtime.elephas import ModelType
from glasses_spark.scoring.prediction_kind import NUMBERS
from glasses_spark.training.model_spec import ModelSpec
from glasses_spark.training.output_kind import output_kind

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
    """Return Elephas' type of a model, by its loss: regression or classification.

    `output_kind` decides: a model that predicts numbers is a regression.
    """
    is_regression = output_kind(model, loss).name == NUMBERS
    return ModelType.REGRESSION if is_regression else ModelType.CLASSIFICATION
