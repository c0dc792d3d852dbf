"""All fuzz targets by name."""

from __future__ import annotations

from importlib import import_module
from typing import Final

from tests.fuzz.target import Target

# Module and name of each target. Imported one by one, because most need no Spark and no Keras.
TARGETS: Final = {
    "decode": ("images", "DECODE"),
    "jpeg": ("photos", "JPEG"),
    "labels": ("texts", "LABELS"),
    "config": ("texts", "CONFIG"),
    "saved-config": ("texts", "SAVED_CONFIG"),
    "overrides": ("texts", "OVERRIDES"),
    "messages": ("messages", "MESSAGES"),
    "checkpoint": ("checkpoints", "CHECKPOINT"),
    "keras-file": ("models", "KERAS_FILE"),
    "h5-file": ("models", "H5_FILE"),
    "onnx-file": ("photos", "ONNX_FILE"),
    "run": ("folders", "RUN"),
    "stage": ("folders", "STAGE"),
    "store": ("folders", "STORE"),
    "zip": ("downloads", "ZIP"),
    "http": ("downloads", "HTTP"),
}


def target_named(name: str) -> Target:
    """Import a target."""
    module, attribute = TARGETS[name]
    target = getattr(import_module(f"tests.fuzz.{module}"), attribute)
    assert isinstance(target, Target)
    return target
