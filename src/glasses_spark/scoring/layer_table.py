"""Layers: what a network is made of, read from its description without building it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any


def layer_rows(config: str) -> list[list[str]]:
    """List the layers of a network.

    Args:
        config: The architecture, as ``model.to_json()`` gives it.

    Returns:
        Name, kind and settings of each layer, in their order.
    """
    described = json.loads(config).get("config", {})
    layers = described.get("layers", []) if isinstance(described, Mapping) else []
    return [
        [
            str(layer.get("config", {}).get("name", "")),
            str(layer.get("class_name", "")),
            ", ".join(_settings(layer.get("config", {}))),
        ]
        for layer in layers
    ]


def _settings(config: Mapping[str, Any]) -> Iterator[str]:
    """What tells layers of one kind apart, in the order in which people say it."""
    if shape := config.get("batch_shape"):
        yield _size(shape[1:])
    for key in ("filters", "units"):
        if config.get(key) is not None:
            yield f"{config[key]} {key if config[key] != 1 else key.removesuffix('s')}"
    if config.get("rate") is not None:
        yield f"{config['rate']} dropped"
    for key in ("kernel_size", "pool_size"):
        if config.get(key) is not None:
            yield _size(config[key])
    activation = config.get("activation")
    if isinstance(activation, str) and activation != "linear":
        yield activation


def _size(sides: Any) -> str:
    return " x ".join(map(str, sides)) if isinstance(sides, list | tuple) else str(sides)
