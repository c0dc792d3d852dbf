"""Model ports: names and types of a model's inputs and outputs, read without building it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

# Name of an input or output that the architecture does not name.
_UNNAMED: Final = ""


@dataclass(frozen=True)
class InputPort:
    """One input of a model.

    Attributes:
        name: Name of the input layer, or the key of a model whose inputs are a mapping.
        dtype: NumPy type, or ``string``.
        shape: Shape without the batch dimension, with None for an open side; None if the
            architecture does not have it.
    """

    name: str
    dtype: str = "float32"
    shape: tuple[int | None, ...] | None = None

    @property
    def size(self) -> int | None:
        """Number of values in a row; None if it is open."""
        if self.shape is None or None in self.shape:
            return None
        return prod(side for side in self.shape if side is not None)


def input_ports(config: str) -> tuple[InputPort, ...]:
    """Return the inputs of a model in the order of ``model.inputs``.

    Args:
        config: Architecture, as returned by ``model.to_json()``.

    Returns:
        At least one input; one of float32 without a name if the architecture has none.
    """
    network = _network(config)
    layers = {
        name: _port(name, layer["config"])
        for name, layer in _layers(network)
        if layer.get("class_name") == "InputLayer"
    }
    named = list(_named_layers(network.get("input_layers")))
    ports = [
        InputPort(name, layers[layer].dtype, layers[layer].shape)
        for name, layer in named
        if layer in layers
    ]
    return tuple(ports or list(layers.values())[:1] or [InputPort(_UNNAMED)])


def output_names(config: str) -> tuple[str, ...]:
    """Return the names of a model's outputs, in the order of ``model.outputs``.

    The name of an output is that of its layer, or the key of a model whose outputs are a
    mapping, as in Keras' history.

    Args:
        config: Architecture, as returned by ``model.to_json()``.
    """
    network = _network(config)
    names = [name for name, _ in _named_layers(network.get("output_layers"))]
    # A Sequential model has one output: that of its last layer.
    return tuple(names or [name for name, _ in _layers(network)][-1:] or [_UNNAMED])


def _network(config: str) -> Mapping[str, Any]:
    network = json.loads(config).get("config", {})
    return network if isinstance(network, Mapping) else {}


def _layers(network: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Return names and descriptions of the layers, without those of inner models."""
    return [(str(each.get("config", {}).get("name")), each) for each in network.get("layers", [])]


def _port(name: str, layer: Mapping[str, Any]) -> InputPort:
    dtype, shape = layer.get("dtype"), layer.get("batch_shape")
    return InputPort(
        name,
        dtype if isinstance(dtype, str) else "float32",
        None if shape is None else tuple(shape[1:]),
    )


def _named_layers(structure: Any, key: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield names and layers of ``input_layers`` or ``output_layers``, flattened as in Keras."""
    if isinstance(structure, Mapping):
        for name in sorted(structure):
            yield from _named_layers(structure[name], name)
    elif isinstance(structure, list) and structure and isinstance(structure[0], str):
        yield key or structure[0], structure[0]
    elif isinstance(structure, list):
        for item in structure:
            yield from _named_layers(item)
