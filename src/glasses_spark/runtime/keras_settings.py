"""Keras settings: what ``keras.json`` and the environment set, read without importing Keras."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from glasses_spark.errors import ConfigError, SetupError

BACKEND_VARIABLE: Final = "KERAS_BACKEND"
TENSORFLOW: Final = "tensorflow"
CHANNELS_LAST: Final = "channels_last"
EPSILON: Final = 1e-7

# Types in which a fit and a prediction equal those of Keras. float16 is not one of them:
# the exchange of weights and the metrics need more digits.
FLOAT_TYPES: Final = ("float32", "float64")

# The values that Keras accepts in the file.
_FILE_FLOAT_TYPES: Final = ("float16", *FLOAT_TYPES)
_DATA_FORMATS: Final = (CHANNELS_LAST, "channels_first")


@dataclass(frozen=True)
class KerasDefaults:
    """Settings of Keras that hold for a whole process, and change what a model computes.

    The workers and the scoring functions get those of the driver, because their machines
    may have other ones.

    Attributes:
        floatx: Floating-point type of losses, metrics and layers without one of their own.
        epsilon: Smallest number by which Keras divides and of which it takes logarithms.
        image_data_format: ``channels_last`` or ``channels_first``.
        dtype_policy: Name of the policy of layers that are made without one, such as those
            within a custom layer.
    """

    floatx: str = FLOAT_TYPES[0]
    epsilon: float = EPSILON
    image_data_format: str = CHANNELS_LAST
    dtype_policy: str = FLOAT_TYPES[0]

    @classmethod
    def of_this_process(cls) -> KerasDefaults:
        """Return the current settings of this process, which has imported Keras.

        Raises:
            ConfigError: Models of this floating-point type are not supported.
        """
        from keras import config

        floatx = config.floatx()
        if floatx not in FLOAT_TYPES:
            raise ConfigError(
                f"floatx: expected Keras to compute in one of {', '.join(FLOAT_TYPES)}, got "
                f'{floatx}. Call keras.config.set_floatx("float32"), or change "floatx" in '
                f"{keras_file()}"
            )
        policy = config.dtype_policy().name
        return cls(floatx, config.epsilon(), config.image_data_format(), policy)

    def apply(self) -> None:
        """Set them in this process, which has imported Keras."""
        from keras import config

        config.set_floatx(self.floatx)
        config.set_epsilon(self.epsilon)
        config.set_image_data_format(self.image_data_format)
        config.set_dtype_policy(self.dtype_policy)


def keras_file(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the path of Keras' settings file, found as Keras finds it."""
    home = environment.get("KERAS_HOME")
    if home is None:
        user = os.path.expanduser("~")
        home = os.path.join(user if os.access(user, os.W_OK) else "/tmp", ".keras")
    return Path(os.path.expanduser(os.path.join(home, "keras.json")))


def read_keras_file(environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return the contents of Keras' settings file.

    Returns:
        The settings; empty without a file, and for a file that is not JSON, which Keras
        ignores.

    Raises:
        SetupError: The file has a value with which Keras cannot be imported.
    """
    path = keras_file(environment)
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    defect = _defect(settings)
    if defect:
        raise SetupError(f"{path}: {defect}. Correct or delete the file")
    return dict(settings)


def require_tensorflow(environment: Mapping[str, str] = os.environ) -> None:
    """Refuse settings with which Keras would not use TensorFlow.

    Args:
        environment: The environment variables.

    Raises:
        SetupError: Another backend is set, Keras' settings file has a wrong value, or Python
            has dropped the docstrings.
    """
    if sys.flags.optimize > 1:
        raise SetupError(
            f"Python was started with PYTHONOPTIMIZE={sys.flags.optimize} or -OO, without the "
            "docstrings that TensorFlow reads when it is imported. Unset it, or use 1"
        )
    settings = read_keras_file(environment)
    backend = environment.get(BACKEND_VARIABLE)
    source = f"the environment variable {BACKEND_VARIABLE}"
    if not backend:
        # Keras ignores an empty variable.
        backend, source = settings.get("backend", TENSORFLOW), str(keras_file(environment))
    if backend != TENSORFLOW:
        raise SetupError(
            f"expected Keras to use {TENSORFLOW}, got the backend {backend!r} from {source}. "
            f"Set {BACKEND_VARIABLE}={TENSORFLOW}, which overrides the file"
        )


def _defect(settings: object) -> str:
    """Return why Keras could not be imported with the contents of its file; empty if it can."""
    if not isinstance(settings, dict):
        return f"expected a JSON object, got {settings!r}"
    floatx = settings.get("floatx", "float32")
    if floatx not in _FILE_FLOAT_TYPES:
        return f"floatx: expected one of {', '.join(_FILE_FLOAT_TYPES)}, got {floatx!r}"
    epsilon = settings.get("epsilon", EPSILON)
    if not isinstance(epsilon, float):
        return f"epsilon: expected a number with a decimal point, got {epsilon!r}"
    data_format = settings.get("image_data_format", CHANNELS_LAST)
    if data_format not in _DATA_FORMATS:
        return f"image_data_format: expected one of {', '.join(_DATA_FORMATS)}, got {data_format!r}"
    return ""
