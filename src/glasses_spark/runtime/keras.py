"""Keras and TensorFlow: imported on demand, with a limited number of threads."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any, Final

from glasses_spark.errors import SetupError
from glasses_spark.runtime.garbage import collector_paused
from glasses_spark.runtime.hidden_modules import imports_explained
from glasses_spark.runtime.keras_settings import (
    BACKEND_VARIABLE,
    TENSORFLOW,
    require_tensorflow,
)
from glasses_spark.runtime.kernel_cache import count_model
from glasses_spark.runtime.native_stderr import native_stderr_discarded
from glasses_spark.runtime.startup import Optimization, is_enabled

logger = logging.getLogger(__name__)

# Keras imports these if they are installed, for adapters that this package does not use.
# They take half of the time of importing Keras.
_ADAPTED_PACKAGES: Final = ("IPython", "matplotlib", "scipy", "sklearn")


def import_keras(*, threads: int | None = None) -> Any:
    """Import Keras with TensorFlow as its backend.

    The import takes seconds. So modules of this package call this function where they need
    Keras, and not when they are imported themselves.

    Args:
        threads: Number of threads that one operation may use, at least 1. TensorFlow cannot
            change it once it has computed: a later value is logged and ignored. None: every
            core.

    Returns:
        The module ``keras``.

    Raises:
        SetupError: ``keras.json`` or the environment sets another backend, Keras has been
            imported with one, or a file of the user hides a module.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "keras" not in sys.modules:
        # Elephas and the training steps call TensorFlow directly.
        require_tensorflow()
        os.environ[BACKEND_VARIABLE] = TENSORFLOW
    first = "tensorflow" not in sys.modules
    silenced = native_stderr_discarded() if first else nullcontext()
    with imports_explained(), silenced, collector_paused():
        import keras

        _require_imported_with_tensorflow(keras)
        import tensorflow as tf
    if threads is not None:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            # The steps of a model run one after the other: a second pool would only compete.
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:
            current = tf.config.threading.get_intra_op_parallelism_threads()
            logger.debug("TensorFlow already runs on %d threads, not on %d", current, threads)
    return keras


def _require_imported_with_tensorflow(keras: Any) -> None:
    backend = keras.config.backend()
    if backend != TENSORFLOW:
        raise SetupError(
            f"expected Keras to use {TENSORFLOW}, got the backend {backend!r}, with which this "
            f"program has imported Keras. Start it with {BACKEND_VARIABLE}={TENSORFLOW}"
        )


def import_bare_keras() -> Any:
    """Import Keras without the optional packages that it has adapters for.

    Only for daemons and commands, which run this package's code alone: it uses neither
    ``keras.wrappers`` nor ``keras.utils.plot_model``. The packages can be imported afterwards.

    Returns:
        The module ``keras``.
    """
    if not is_enabled(Optimization.BARE_KERAS):
        return import_keras()
    absent = [name for name in _ADAPTED_PACKAGES if name not in sys.modules]
    # Python refuses to import a module whose entry is None.
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        return import_keras()
    finally:
        for name in absent:
            del sys.modules[name]


def build_from_config(config: str, custom_objects: Mapping[str, Any] | None = None) -> Any:
    """Build a Keras model from its architecture, with new weights.

    Args:
        config: Architecture, as returned by ``model.to_json()``.
        custom_objects: Classes and functions that the architecture names.

    Returns:
        The model, not compiled.
    """
    keras = import_keras()
    count_model()
    with keras.utils.custom_object_scope(dict(custom_objects or {})):
        return keras.models.model_from_json(config)
