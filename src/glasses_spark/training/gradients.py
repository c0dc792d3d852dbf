"""Gradients: for which weights a model has none, and for which it has rows of one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Any, Final

from glasses_spark.runtime.keras import import_keras
from glasses_spark.scoring.model_ports import output_names
from glasses_spark.training.output_settings import losses_by_output
from glasses_spark.training.weights import exchanged_variables
from glasses_spark.training.worker.cpu_kernels import leaf_layers

# Layers of Keras whose weights all have a gradient of their own shape. The model is not
# traced if it has no others, which takes half a second for the CNN.
_DENSE_LAYERS: Final = frozenset(
    [
        *("Activation", "Add", "AveragePooling2D", "BatchNormalization", "Concatenate"),
        *("Conv1D", "Conv2D", "Dense", "Dropout", "Flatten", "GlobalAveragePooling2D"),
        *("InputLayer", "LayerNormalization", "MaxPooling2D", "ReLU", "Rescaling", "Reshape"),
    ]
)


def absent_gradients(model: Any) -> frozenset[int]:
    """Return the positions of trainable weights that do not affect an output with a loss.

    Keras leaves them out of an optimizer's step, and so out of weight decay.
    """
    return frozenset(i for i, kind in enumerate(_gradients(model)) if kind is None)


def sparse_gradients(model: Any) -> list[Any]:
    """Return the trainable weights whose gradient is a list of rows, such as an embedding's."""
    import tensorflow as tf

    trainable, _ = exchanged_variables(model)
    return [
        variable
        for variable, gradient in zip(trainable, _gradients(model), strict=False)
        if isinstance(gradient, tf.IndexedSlices)
    ]


def _gradients(model: Any) -> Sequence[Any]:
    """Trace a training step of a model; return the gradients, none for a model of dense layers."""
    import tensorflow as tf

    has_loss = _outputs_with_loss(model)
    if all(has_loss) and all(_is_dense(layer) for layer in leaf_layers(model)):
        return []
    keras = import_keras()
    trainable, _ = exchanged_variables(model)
    gradients: list[Any] = []

    def trace(inputs: Any) -> Any:
        with tf.GradientTape() as tape:
            outputs = compress(keras.tree.flatten(model(inputs, training=True)), has_loss)
            terms = [tf.reduce_sum(tf.cast(term, "float32")) for term in (*outputs, *model.losses)]
            total = tf.add_n(terms)
        gradients.extend(tape.gradient(total, [variable.value for variable in trainable]))
        return total

    # A Sequential model keeps the structure of its inputs in a functional model.
    functional = getattr(model, "_functional", None) or model
    signature = keras.tree.map_structure(
        lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), functional._inputs_struct
    )
    tf.function(trace, autograph=False).get_concrete_function(signature)
    return gradients


def _outputs_with_loss(model: Any) -> list[bool]:
    """Return for each output whether Keras computes a loss of it."""
    compiled = getattr(model, "_compile_loss", None)
    is_own_loss = type(model).compute_loss is not import_keras().Model.compute_loss
    if len(model.outputs) == 1 or compiled is None or is_own_loss:
        return [True] * len(model.outputs)
    losses = losses_by_output(compiled._user_loss, output_names(model.to_json()))
    return [loss is not None for loss in losses]


def _is_dense(layer: Any) -> bool:
    # A user's own activation may have no gradient.
    parts = [type(layer), getattr(layer, "activation", None)]
    return type(layer).__name__ in _DENSE_LAYERS and all(
        part is None or part.__module__.startswith("keras.") for part in parts
    )
