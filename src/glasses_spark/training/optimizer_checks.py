"""Optimizer checks: requirements of an optimizer before any data is read."""

from __future__ import annotations

import logging
from typing import Any, Final

from glasses_spark.config.training import BATCH, EPOCH
from glasses_spark.errors import ConfigError, TrainingError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.gradients import sparse_gradients
from glasses_spark.training.optimizers import (
    blank_copy,
    excludes_weights,
    first_line,
    leaf_optimizers,
    name_of,
)
from glasses_spark.training.server.optimizer_step import OptimizerStep, is_elementwise
from glasses_spark.training.weights import layout_of

logger = logging.getLogger(__name__)

# The square of a float32 above this is a normal number.
SAFE_EPSILON: Final = 1e-18

# Optimizers in which the sum over the rows of a gradient can be taken first. The others
# square the rows, and Keras does so before it adds those of the same index.
_LINEAR_OPTIMIZERS: Final = frozenset(["SGD", "Lion"])


def require_supported_optimizer(model: Any, frequency: str) -> None:
    """Refuse an optimizer with which a fit would not train as Keras does.

    Args:
        model: A compiled model.
        frequency: ``batch``, with the optimizer in the driver, or ``epoch``, with one on
            each worker.

    Raises:
        TrainingError: The optimizer cannot be copied, or it needs what the driver or the
            workers do not have.
    """
    keras = import_keras().optimizers
    optimizer = model.optimizer
    blank_copy(optimizer)
    leaves = leaf_optimizers(optimizer)
    for leaf in leaves:
        _require_update_step(leaf)
        _require_start(leaf)
    if frequency == EPOCH:
        for leaf in leaves:
            _require_no_finish(leaf)
    elif isinstance(optimizer, keras.LossScaleOptimizer):
        raise TrainingError(
            "optimizer LossScaleOptimizer: each worker would need its current scale in every "
            'step. Use frequency="epoch", or loss_scale_factor in the inner optimizer'
        )
    if frequency == BATCH and not all(map(_is_linear, leaves)):
        _require_dense_gradients(model, optimizer)
    _require_working_step(model)
    if any(map(_may_underflow, leaves)) and layout_of(model).dtype == "float32":
        logger.warning(
            "optimizer Adafactor: Keras' default epsilon_1=1e-30 underflows in float32 where a row "
            "and a column of a weight have no gradient, such as after a ReLU, and the weights "
            "become NaN. Use keras.optimizers.Adafactor(epsilon_1=1e-16)"
        )


def require_new_optimizer(optimizer: Any) -> None:
    """Refuse an optimizer that refers to variables of a model that is not given.

    Raises:
        ConfigError: It has updated weights, or excludes some from weight decay.
    """
    if not isinstance(optimizer, import_keras().optimizers.Optimizer):
        return
    leaves = leaf_optimizers(optimizer)
    reasons = {
        "has updated the weights of a model": any(leaf.built for leaf in leaves),
        "excludes weights from weight decay": any(map(excludes_weights, leaves)),
    }
    for reason in (text for text, applies in reasons.items() if applies):
        raise ConfigError(
            f"optimizer_config: this {name_of(optimizer)} {reason}, which are not known here. "
            "Compile the model with it and use build_estimator(model, ...)"
        )


def _may_underflow(optimizer: Any) -> bool:
    return name_of(optimizer) == "Adafactor" and optimizer.epsilon_1 < SAFE_EPSILON


def _require_working_step(model: Any) -> None:
    """Refuse an optimizer that fails for the weights of the model."""
    if all(is_elementwise(leaf) for leaf in leaf_optimizers(model.optimizer)):
        return  # known to work, and traced in the fit
    try:
        OptimizerStep(model, layout_of(model)).trace()
    except TrainingError:
        raise
    except Exception as error:
        raise TrainingError(
            f"optimizer {name_of(model.optimizer)} fails for the weights of this model: "
            f"{first_line(error)}. Use another optimizer"
        ) from error


def _require_update_step(optimizer: Any) -> None:
    base = import_keras().optimizers.Optimizer
    if type(optimizer).update_step is base.update_step and type(optimizer).apply is base.apply:
        raise TrainingError(
            f"optimizer {name_of(optimizer)} has no update_step. Use a subclass that has one, such "
            "as keras.optimizers.SGD"
        )


def _require_start(optimizer: Any) -> None:
    # Keras builds it while it traces the first step, and loses the copy of the weights.
    if name_of(optimizer) == "ScheduleFreeAdamW" and not optimizer.built:
        raise TrainingError(
            "optimizer ScheduleFreeAdamW: keras.Model.fit of this Keras starts it at weights of "
            "0. Call model.optimizer.build(model.trainable_variables) before build_estimator(model)"
        )


def _require_no_finish(optimizer: Any) -> None:
    base = import_keras().optimizers.Optimizer
    if optimizer.use_ema:
        raise TrainingError(
            f"optimizer {name_of(optimizer)}: use_ema=True needs the weights after every step, "
            'which only the worker has. Use frequency="batch", or remove use_ema'
        )
    if type(optimizer).finalize_variable_values is not base.finalize_variable_values:
        raise TrainingError(
            f"optimizer {name_of(optimizer)}: its finalize_variable_values needs the weights after "
            'every step, which only the worker has. Use frequency="batch"'
        )


def _is_linear(optimizer: Any) -> bool:
    clips = (optimizer.clipnorm, optimizer.clipvalue, optimizer.global_clipnorm)
    return name_of(optimizer) in _LINEAR_OPTIMIZERS and not any(clips)


def _require_dense_gradients(model: Any, optimizer: Any) -> None:
    if sparse := sparse_gradients(model):
        raise TrainingError(
            f"optimizer {name_of(optimizer)}: {sparse[0].path} has a gradient of single rows. "
            "Keras squares or clips rows of the same index one by one, and the driver has only "
            'their sum. Use frequency="epoch", or SGD or Lion without clipping'
        )
