"""Model specification: from which driver and workers build and compile the model."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from glasses_spark.config.training import FLOAT32, KERAS_KERNELS
from glasses_spark.errors import TrainingError
from glasses_spark.runtime.keras import build_from_config, import_keras
from glasses_spark.runtime.keras_archive import unpack_model
from glasses_spark.runtime.keras_settings import CHANNELS_LAST, EPSILON, KerasDefaults
from glasses_spark.training.keras_objects import KerasObject, is_serialized
from glasses_spark.training.optimizers import OptimizerState, blank_copy, optimizer_of
from glasses_spark.training.precision import compute_in


@dataclass(frozen=True)
class ModelSpec:
    """Specification of a compiled model, sent to the workers.

    Attributes:
        config: The architecture, as returned by ``model.to_json()``.
        loss: Keras loss: its name, or a form that `portable` returns; a list or mapping of
            these for several outputs, as for ``compile``.
        metrics: Keras metrics, in the same forms.
        weighted_metrics: The same, for metrics that use the weights of the rows.
        loss_weights: Weight of each output's loss, as for ``compile``.
        optimizer: Keras optimizer: its name, serialized form or, for a class of the user, the
            object.
        optimizer_state: What it holds beside its config.
        archive: The model as a ``.keras`` file, with weights and state; None builds it from
            the architecture, with new weights.
        safe_mode: Whether to refuse a ``Lambda`` layer.
        learning_rate: Learning rate of the optimizer; 0 keeps the optimizer's own.
        custom_objects: Classes and functions that the architecture names.
        frozen: Weights that training does not change, by their index in ``model.weights``.
        floatx: Keras' floating-point type, in which losses are computed.
        epsilon: Keras' epsilon.
        image_data_format: Keras' default order of the dimensions of an image.
        dtype_policy: Name of Keras' default policy of layers.
        precision: Number format in which the model computes: ``float32``, which leaves
            the model as it is, or ``bfloat16``.
        cpu_kernels: How a worker computes convolutions on a CPU: ``keras`` or ``auto``.
    """

    config: str
    loss: Any
    metrics: Any
    optimizer: Any
    optimizer_state: OptimizerState = field(default_factory=OptimizerState)
    archive: bytes | None = None
    safe_mode: bool = True
    learning_rate: float = 0.0
    custom_objects: Mapping[str, Any] = field(default_factory=dict)
    frozen: Mapping[int, Any] = field(default_factory=dict)
    floatx: str = "float32"
    epsilon: float = EPSILON
    image_data_format: str = CHANNELS_LAST
    dtype_policy: str = FLOAT32
    precision: str = FLOAT32
    cpu_kernels: str = KERAS_KERNELS
    weighted_metrics: Any = ()
    loss_weights: Any = None

    def build(self) -> Any:
        """Build and compile the model.

        A worker imports Keras before, with its number of threads.

        Raises:
            TrainingError: The optimizer has a learning rate schedule, and
                ``learning_rate`` is set.
            ValueError: Keras cannot build the model.
        """
        keras = import_keras()
        KerasDefaults(self.floatx, self.epsilon, self.image_data_format, self.dtype_policy).apply()
        if self.archive is None:
            model = build_from_config(self.config, self.custom_objects)
        else:
            model = unpack_model(self.archive, self.custom_objects, safe_mode=self.safe_mode)
        with keras.utils.custom_object_scope(dict(self.custom_objects)):
            model.compile(
                optimizer=self._optimizer(),
                loss=_new_instance(self.loss),
                loss_weights=copy.deepcopy(self.loss_weights),
                metrics=_new_instance(self.metrics),
                weighted_metrics=_new_instance(self.weighted_metrics) or None,
            )
        self.optimizer_state.restore(model.optimizer, model.trainable_weights)
        for index, array in self.frozen.items():
            model.weights[index].assign(array)
        compute_in(model, self.precision)
        return model

    def _optimizer(self) -> Any:
        optimizer = optimizer_of(self.optimizer)
        if optimizer is self.optimizer:
            optimizer = blank_copy(optimizer)
        if self.learning_rate:
            try:
                optimizer.learning_rate = self.learning_rate
            except (AttributeError, TypeError):
                raise TrainingError(
                    f"learning_rate={self.learning_rate} needs an optimizer with a constant "
                    "learning rate, found one with a schedule or several. Clear learning_rate, or "
                    "give the optimizer a number"
                ) from None
        return optimizer


def _new_instance(spec: Any) -> Any:
    """Return new objects: they have state, and one specification may build many models."""
    if isinstance(spec, KerasObject):
        return spec.build()
    if is_serialized(spec):
        return import_keras().saving.deserialize_keras_object(dict(spec))
    if isinstance(spec, Mapping):
        return {name: _new_instance(item) for name, item in spec.items()}
    if isinstance(spec, (list, tuple)):
        return [_new_instance(item) for item in spec]
    return copy.deepcopy(spec)
