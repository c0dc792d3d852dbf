"""Check the settings that Keras reads from ``keras.json`` and the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping

from glasses_spark.errors import SetupError
from glasses_spark.preflight.doctor.check import FAILED, Check, pass_or_fail
from glasses_spark.runtime.keras_settings import (
    FLOAT_TYPES,
    TENSORFLOW,
    KerasDefaults,
    keras_file,
    read_keras_file,
    require_tensorflow,
)


def check_keras_settings(environment: Mapping[str, str] = os.environ) -> Check:
    """Check the backend and the number format that Keras gets from its file and the environment.

    Args:
        environment: The environment variables.
    """
    name, path = "Keras settings", keras_file(environment)
    wanted = f"{TENSORFLOW} with {' or '.join(FLOAT_TYPES)}"
    try:
        require_tensorflow(environment)
        settings = read_keras_file(environment)
    except SetupError as error:
        advice = "Correct or delete the file, or set the variable"
        return Check(name, FAILED, str(error), wanted, advice)
    defaults = KerasDefaults(
        **{key: value for key, value in settings.items() if key in KerasDefaults.__match_args__}
    )
    summary = f"{TENSORFLOW}, {defaults.floatx}, {defaults.image_data_format} ({path})"
    return pass_or_fail(
        name,
        defaults.floatx in FLOAT_TYPES,
        summary,
        wanted,
        f'Change "floatx" in {path} to "float32"',
    )
