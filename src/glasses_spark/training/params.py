"""Params: checks of the estimator's Spark ML parameters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from glasses_spark.config.fields import AUTO
from glasses_spark.errors import ConfigError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.precision import PRECISIONS
from glasses_spark.training.schedule import FREQUENCIES, MODES

# Long enough for a busy machine to miss a few signs of life, short enough to be
# noticed by whoever waits.
STALL_TIMEOUT_S = 120.0


def require_valid(name: str, value: Any) -> None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    checks: Mapping[str, tuple[bool, str]] = {
        "mode": (value in MODES, f"one of {', '.join(MODES)}"),
        "frequency": (value in FREQUENCIES, f"one of {', '.join(FREQUENCIES)}"),
        "epochs": (whole and value >= 1, "a whole number of at least 1"),
        "batch_size": (whole and value >= 1, "a whole number of at least 1"),
        "num_workers": (
            value == AUTO or (whole and value >= 1),
            "a whole number of at least 1, or 'auto'",
        ),
        "validation_split": (number and 0 <= value < 1, "a number in [0, 1)"),
        "nb_classes": (whole and value >= 1, "a whole number of at least 1"),
        "stall_timeout": (number and value > 0, "a number of seconds above 0"),
        "parameter_server_port": (whole and 0 <= value < 65536, "a port, 0 to 65535"),
        "precision": (value in PRECISIONS, f"one of {', '.join(PRECISIONS)}"),
        "staleness_aware": (isinstance(value, bool), "true or false"),
        "class_weight": (_are_weights(value), "a number of at least 0 for each label"),
        "loss": (
            not isinstance(value, Mapping) or "class_name" in value,
            "one loss, as the model has one output",
        ),
        "metrics": (value is None or isinstance(value, (list, tuple)), "a list of metrics"),
    }
    if name in checks and not checks[name][0]:
        raise ConfigError(f"{name}: expected {checks[name][1]}, got {value!r}")


def plain(value: Any) -> Any:
    """A number of NumPy as one of Python, which Spark can save."""
    return value.item() if isinstance(value, np.generic) else value


def _are_weights(value: Any) -> bool:
    if value is None:
        return True
    if not isinstance(value, Mapping):
        return False
    return all(isinstance(w, (int, float)) and w >= 0 for w in value.values())


def serialized(value: Any) -> Any:
    """An optimizer, loss or metric of Keras itself as what its own functions make of it.

    A metric object holds variables: unpickled in a worker it would start
    TensorFlow before its threads are set. Classes of the user's are left to
    the pickling, which brings their code along.
    """
    if isinstance(value, (list, tuple)):
        return [serialized(one) for one in value]
    keras = import_keras()
    kinds = (keras.optimizers.Optimizer, keras.losses.Loss, keras.metrics.Metric)
    if isinstance(value, kinds) and type(value).__module__.startswith("keras."):
        return keras.saving.serialize_keras_object(value)
    return value
