"""ONNX model: a Keras model converted by tf2onnx.

Keras' own ``export(format="onnx")`` makes inputs of constants that a layer computes with, such
as the mean of a ``Normalization``, and their values are lost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from glasses_spark.errors import ScoringError

# The version of ONNX's operators. ONNX Runtime and OpenVINO of the last years read it, and
# tf2onnx writes no later one.
OPSET: Final = 18

# Names of the input and the output.
INPUT: Final = "image"
OUTPUT: Final = "probability"


def to_onnx(network: Any) -> Any:
    """Convert a Keras model of one input and one output.

    Args:
        network: Keras model; its batch dimension stays open.

    Returns:
        An ``onnx.ModelProto`` with the input ``image`` and the output ``probability``.

    Raises:
        ScoringError: The model has several inputs or outputs.
        Exception: tf2onnx cannot convert it, or ONNX lacks an operation.
    """
    import tensorflow as tf

    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise ScoringError(
            "expected a model of one input and one output, found "
            f"{len(network.inputs)} and {len(network.outputs)}. Save it as .keras"
        )
    (port,) = network.inputs
    signature = tf.TensorSpec((None, *port.shape[1:]), port.dtype, name=INPUT)
    return function_to_onnx(lambda rows: network(rows, training=False), [signature], [OUTPUT])


def function_to_onnx(
    function: Callable[..., Any], signature: Sequence[Any], outputs: Sequence[str]
) -> Any:
    """Convert a function of TensorFlow.

    Args:
        function: Takes a tensor for each input, and returns a tensor or a list of tensors.
        signature: ``tf.TensorSpec`` of each input, with a name.
        outputs: Names of the outputs.

    Returns:
        An ``onnx.ModelProto``.

    Raises:
        Exception: As for ``to_onnx``.
    """
    import onnx
    import tensorflow as tf
    import tf2onnx

    graph, found = _frozen(tf.function(function).get_concrete_function(*signature))
    inputs = {f"{spec.name}:0": spec.name for spec in signature}
    model, _ = tf2onnx.convert.from_graph_def(
        graph,
        input_names=list(inputs),
        output_names=found,
        opset=OPSET,
        tensors_to_rename=inputs | dict(zip(found, outputs, strict=True)),
    )
    # tf2onnx writes operations of TensorFlow that ONNX lacks as they are.
    onnx.checker.check_model(model)
    for port in (*model.graph.input, *model.graph.output):
        for batch in port.type.tensor_type.shape.dim[:1]:
            batch.dim_param = "batch"
    return model


def _frozen(traced: Any) -> tuple[Any, list[str]]:
    """Return the graph of a function with its variables as constants, and its outputs' names."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    frozen = convert_variables_to_constants_v2(
        traced, lower_control_flow=False, aggressive_inlining=True
    )
    graph = frozen.graph.as_graph_def(add_shapes=True)
    # Captured tensors that are no variables are inputs without a value after that.
    constants = {
        place.op.name: captured.numpy()
        for captured, place in traced.graph.captures
        if captured.dtype != tf.resource
    }
    for node in graph.node:
        if node.name in constants:
            value: np.ndarray[Any, Any] = constants[node.name]
            node.op = "Const"
            node.attr.clear()
            node.attr["dtype"].type = tf.as_dtype(value.dtype).as_datatype_enum
            node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
    return graph, [output.name for output in frozen.outputs]
