"""CPU kernels: convolution and pooling layers that compute faster on CPUs with AVX-512.

The results equal those of Keras up to the order in which float32 numbers are summed.
There are two replacements, both for networks with few channels:

- The gradient of a convolution of at most 8 channels fills at most half of an AVX-512
  register. The replacement computes two neighbouring columns of the image as one column
  of twice the channels, with a kernel that is one column wider and a stride of two.
- A ReLU between a convolution and a max-pooling moves behind the pooling, where it has a
  quarter of the numbers to compute. ReLU and maximum commute, and so do their gradients.

On one core of an AMD EPYC 9004 they save 13 % of a training step of the CNN in float32 and
7 % in bfloat16 (`benchmarks/bench_step.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from glasses_spark.runtime.machine import CPU_INFO, has_cpu_flag

# Half of the 16 float32 numbers in a register of AVX-512.
_FEW_CHANNELS: Final = 8
_AVX_512: Final = frozenset(["avx512f"])


def use_cpu_kernels(model: Any) -> None:
    """Replace the convolutions of a model, if this process computes on a CPU with AVX-512.

    Args:
        model: A built Keras model for training. Its weights do not change, but Keras can
            no longer save it with its original layers.
    """
    import tensorflow as tf

    # Visible instead of physical devices: a worker may not be allowed to use the machine's GPUs.
    if not has_cpu_flag(_AVX_512, CPU_INFO) or tf.config.get_visible_devices("GPU"):
        return
    for layer in leaf_layers(model):
        if _is_plain_convolution(layer):
            layer.convolution_op = convolution
            pooling = _only_consumer(model, layer)
            if _is_relu(layer.activation) and _is_max_pooling(pooling):
                _move_relu_after(layer, pooling)


def convolution(x: Any, kernel: Any) -> Any:
    """Convolve without padding and with strides of 1, with fast gradients for few channels.

    Args:
        x: Images ``(batch, height, width, channels)``; height and width are static.
        kernel: Kernel ``(rows, columns, channels, filters)``.

    Returns:
        Images ``(batch, height - rows + 1, width - columns + 1, filters)``.
    """
    import tensorflow as tf

    @tf.custom_gradient
    def convolve(x: Any, kernel: Any) -> Any:
        def gradients(upstream: Any) -> tuple[Any, Any]:
            return gradient_of_input(x, kernel, upstream), gradient_of_kernel(x, kernel, upstream)

        return tf.nn.conv2d(x, kernel, strides=1, padding="VALID"), gradients

    x = tf.convert_to_tensor(x)
    return convolve(x, tf.cast(tf.convert_to_tensor(kernel), x.dtype))


def gradient_of_input(x: Any, kernel: Any, upstream: Any) -> Any:
    """Compute the gradient of `convolution` with respect to ``x``.

    Args:
        x: Images ``(batch, height, width, channels)``.
        kernel: Kernel ``(rows, columns, channels, filters)``.
        upstream: Gradient with respect to the result of the convolution.

    Returns:
        Gradient ``(batch, height, width, channels)``.
    """
    import tensorflow as tf

    rows, columns, channels, _ = kernel.shape
    if channels > _FEW_CHANNELS:
        return tf.raw_ops.Conv2DBackpropInput(
            input_sizes=tf.shape(x),
            filter=kernel,
            out_backprop=upstream,
            strides=[1, 1, 1, 1],
            padding="VALID",
        )
    # This gradient is a convolution of the padded upstream gradient with the rotated kernel.
    rotated = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
    paired_kernel = tf.concat([_shifted(rotated, 0), _shifted(rotated, 1)], axis=3)
    height, width = x.shape[1], x.shape[2]
    pairs = -(-width // 2)
    above, left = rows - 1, columns - 1
    paired_columns = tf.nn.conv2d(
        upstream,
        paired_kernel,
        strides=[1, 1, 2, 1],
        padding=[[0, 0], [above, above], [left, left + 2 * pairs - width], [0, 0]],
    )
    return tf.reshape(paired_columns, [-1, height, 2 * pairs, channels])[:, :, :width]


def gradient_of_kernel(x: Any, kernel: Any, upstream: Any) -> Any:
    """Compute the gradient of `convolution` with respect to ``kernel``.

    Args:
        x: Images ``(batch, height, width, channels)``.
        kernel: Kernel ``(rows, columns, channels, filters)``.
        upstream: Gradient with respect to the result of the convolution.

    Returns:
        Gradient ``(rows, columns, channels, filters)``.
    """
    import tensorflow as tf

    rows, columns, channels, filters = kernel.shape
    height, width = upstream.shape[1], upstream.shape[2]
    # In bfloat16 oneDNN's own kernel is faster.
    if filters > _FEW_CHANNELS or width % 2 or x.dtype == tf.bfloat16:
        return tf.raw_ops.Conv2DBackpropFilter(
            input=x,
            filter_sizes=kernel.shape,
            out_backprop=upstream,
            strides=[1, 1, 1, 1],
            padding="VALID",
        )
    paired_gradient = tf.raw_ops.Conv2DBackpropFilter(
        input=x,
        filter_sizes=[rows, columns + 1, channels, 2 * filters],
        out_backprop=tf.reshape(upstream, [-1, height, width // 2, 2 * filters]),
        strides=[1, 1, 2, 1],
        padding="VALID",
    )
    return paired_gradient[:, :columns, :, :filters] + paired_gradient[:, 1:, :, filters:]


def leaf_layers(layer: Any) -> Iterator[Any]:
    """Yield the layers of a model that have no inner layers."""
    inner = getattr(layer, "layers", None)
    if not inner:
        yield layer
        return
    for child in inner:
        yield from leaf_layers(child)


def _shifted(kernel: Any, columns: int) -> Any:
    """Return a kernel that is one column wider, with its numbers 0 or 1 columns to the right."""
    import tensorflow as tf

    return tf.pad(kernel, [[0, 0], [columns, 1 - columns], [0, 0], [0, 0]])


def _is_plain_convolution(layer: Any) -> bool:
    import keras

    return (
        type(layer) is keras.layers.Conv2D
        and layer.data_format == "channels_last"
        and layer.padding == "valid"
        and _are_ones(layer.strides)
        and _are_ones(layer.dilation_rate)
        and layer.groups == 1
        and not layer.lora_enabled
        and layer.compute_dtype in ("float32", "bfloat16")
        and all(len(node.input_tensors) == 1 for node in layer._inbound_nodes)
        and None not in layer.input.shape[1:]
    )


def _only_consumer(model: Any, layer: Any) -> Any:
    """Return the only layer that takes a layer's output; None if there are several."""
    outputs = {id(tensor._keras_history.operation) for tensor in model.outputs}
    consumers = [node.operation for node in layer._outbound_nodes]
    if len(consumers) != 1 or len(layer._inbound_nodes) != 1 or id(layer) in outputs:
        return None
    return consumers[0]


def _is_max_pooling(layer: Any) -> bool:
    import keras

    return type(layer) is keras.layers.MaxPooling2D and len(layer._inbound_nodes) == 1


def _move_relu_after(layer: Any, pooling: Any) -> None:
    import keras

    pool = pooling.call
    layer.activation = keras.activations.linear
    pooling.call = lambda x: keras.ops.relu(pool(x))


def _is_relu(activation: Any) -> bool:
    import keras

    return activation is keras.activations.relu


def _are_ones(values: int | Sequence[int]) -> bool:
    return all(value == 1 for value in ([values] if isinstance(values, int) else values))
