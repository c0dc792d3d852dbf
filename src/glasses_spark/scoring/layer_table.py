"""Layer table: name, type and settings of a network's layers, read without building it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def layer_rows(config: str) -> list[list[str]]:
    """List the layers of a network.

    Args:
        config: The architecture, as returned by ``model.to_json()``.

    Returns:
        One row per layer, in the order of the architecture: name, type and settings.
    """
    network = json.loads(config).get("config", {})
    layers = network.get("layers", []) if isinstance(network, Mapping) else []
    return [
        [
            str(layer.get("config", {}).get("name", "")),
            str(layer.get("class_name", "")),
            ", ".join(_settings(layer.get("config", {}))),
        ]
        for layer in layers
    ]


def _settings(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield the main settings of a layer, the most important first."""
    if shape := config.get("batch_shape"):
        yield _size(shape[1:])
    for key in ("filters", "units"):
        if config.get(key) is not None:
            yield f"{config[key]} {key if config[key] != 1 else key.removesuffix('s')}"
    if config.get("rate") is not None:
        yield f"rate {config['rate']}"
    for key in ("kernel_size", "pool_size"):
        if config.get(key) is not None:
            yield _size(config[key])
    activation = config.get("activation")
    if isinstance(activation, str) and activation != "linear":
        yield activation


def _size(sides: Any) -> str:
    return " x ".join(map(str, sides)) if isinstance(sides, list | tuple) else str(sides)
