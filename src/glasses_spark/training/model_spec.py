"""Model specification: how a worker builds and compiles the model."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from glasses_spark.training.precision import FLOAT32, compute_in


@dataclass(frozen=True)
class ModelSpec:
    """All that it takes to build a compiled model on another machine.

    Attributes:
        config: The architecture, as ``model.to_json()`` gives it.
        loss: Keras loss, its name or its serialized form.
        metrics: Keras metrics or their names.
        optimizer: Serialized Keras optimizer.
        custom_objects: Classes and functions that the architecture names.
        frozen: Weights that stay as they are, by their place in ``model.weights``.
        floatx: Keras' floating-point type, in which losses are computed.
        precision: Format in which the model computes: ``float32``, which leaves
            it as it is, or ``bfloat16``.
    """

    config: str
    loss: Any
    metrics: Sequence[Any]
    optimizer: Mapping[str, Any] | str
    custom_objects: Mapping[str, Any] = field(default_factory=dict)
    frozen: Mapping[int, Any] = field(default_factory=dict)
    floatx: str = "float32"
    precision: str = FLOAT32

    def build(self) -> Any:
        """Build and compile the model; Keras must have been imported before."""
        import keras

        keras.config.set_floatx(self.floatx)
        with keras.utils.custom_object_scope(dict(self.custom_objects)):
            model = keras.models.model_from_json(self.config)
            optimizer = keras.optimizers.get(copy.deepcopy(self.optimizer))
            model.compile(
                optimizer=optimizer,
                loss=_fresh(self.loss),
                metrics=_fresh(self.metrics),
            )
        for place, array in self.frozen.items():
            model.weights[place].assign(array)
        compute_in(model, self.precision)
        return model


def _fresh(described: Any) -> Any:
    """A loss or a metric of its own: a metric holds state, and one spec may build many models."""
    import keras

    if isinstance(described, Mapping) and "class_name" in described:
        return keras.saving.deserialize_keras_object(dict(described))
    if isinstance(described, (list, tuple)):
        return [_fresh(one) for one in described]
    return copy.deepcopy(described)
