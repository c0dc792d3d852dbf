"""Keras archive: a model as the bytes of a ``.keras`` file.

A file of this kind holds what architecture and weights alone do not: the vocabulary of a
lookup layer, the mean of a ``Normalization``, and the weights of layers that Keras
restores in a form of their own. The states of its random layers are added.
"""

from __future__ import annotations

import json
import threading
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.kernel_cache import count_model
from glasses_spark.runtime.owned_folder import owned_folder
from glasses_spark.runtime.random_states import random_states, set_random_states

# Entry of the file, which Keras itself does not read.
_RANDOM_STATES: Final = "random_states.json"

# Enough for 10,000 random layers. The file may come from a stranger.
_LARGEST_STATES: Final = 1_000_000

_uncompiled = threading.Lock()


def pack_model(model: Any) -> bytes:
    """Return a built Keras model as a ``.keras`` file, without its compile settings.

    Args:
        model: A built model. Losses, metrics and the optimizer are left out, because Keras
            drops some of their arguments when it serializes them.
    """
    with owned_folder("model") as folder, _without_compile(model):
        path = folder / "model.keras"
        model.save(path)
        with zipfile.ZipFile(path, "a") as file:
            file.writestr(_RANDOM_STATES, json.dumps(random_states(model)))
        return path.read_bytes()


def unpack_model(
    archive: bytes, custom_objects: Mapping[str, Any] | None = None, *, safe_mode: bool = True
) -> Any:
    """Build a Keras model from a ``.keras`` file.

    Args:
        archive: Content of the file.
        custom_objects: Classes and functions that the architecture names.
        safe_mode: Whether to refuse a ``Lambda`` layer, whose code would run.

    Returns:
        The model with its weights and state, not compiled. A file that Keras wrote has no
        states of random layers; they draw seeds of their own.

    Raises:
        ValueError: The file is not valid, names an unknown class, or has a ``Lambda`` layer
            in safe mode.
    """
    keras = import_keras()
    count_model()
    with owned_folder("model") as folder:
        path = folder / "model.keras"
        path.write_bytes(archive)
        with keras.utils.custom_object_scope(dict(custom_objects or {})):
            model = keras.saving.load_model(path, compile=False, safe_mode=safe_mode)
        with zipfile.ZipFile(path) as file:
            if _RANDOM_STATES in file.namelist():
                set_random_states(model, _read_random_states(file))
        return model


def _read_random_states(file: zipfile.ZipFile) -> Any:
    if file.getinfo(_RANDOM_STATES).file_size > _LARGEST_STATES:
        raise ValueError(f"{_RANDOM_STATES}: expected at most {_LARGEST_STATES} bytes")
    # A bounded read: the size in a zip file's directory may be wrong.
    with file.open(_RANDOM_STATES) as entry:
        return json.loads(entry.read(_LARGEST_STATES))


@contextmanager
def _without_compile(model: Any) -> Iterator[None]:
    """Let Keras save a model as if it were not compiled."""
    with _uncompiled:
        compiled, optimizer = model.compiled, getattr(model, "optimizer", None)
        # The state of the optimizer would be saved as well, twice the size of the weights.
        model.compiled, model.optimizer = False, None
        try:
            yield
        finally:
            model.compiled, model.optimizer = compiled, optimizer


def set_weights(model: Any, weights: Sequence[Any]) -> None:
    """Set the weights of a model as ``model.set_weights``, and what layers compute from them.

    Args:
        model: A built model.
        weights: Arrays, as returned by ``model.get_weights()``.
    """
    model.set_weights([np.asarray(weight) for weight in weights])
    for layer in model._flatten_layers():
        # A Normalization, for example, computes with copies of its mean and variance. One without
        # weights, such as a Discretization, would compute its state from data that it has not.
        if layer.built and layer.weights and hasattr(layer, "finalize_state"):
            layer.finalize_state()
