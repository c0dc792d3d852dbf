"""MLflow model of a finished run: its Keras model with signature and example, and its registration.

``mlflow.pyfunc`` loads it with ``mlflow_loader``, and ``mlflow.keras`` also without this package.
"""

from __future__ import annotations

import logging
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from glasses_spark.runs.folder import KERAS_MODEL, require_file
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.owned_folder import owned_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

MODEL: Final = "model"
PROBABILITY: Final = "probability"
_LOADER: Final = "glasses_spark.runs.tracking.mlflow_loader"
_PACKAGES: Final = ("glasses-spark", "tensorflow", "keras", "numpy")

# Where MLflow's Keras flavour saves a model.
_SAVED: Final = "data/model.keras"

# Of every pixel of the example. A face of the run would end up in the registry.
_GREY: Final = 0.5

# Names of MLflow's error for a registered model that exists.
_EXISTS: Final = ("RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS")


def log_model(client: MlflowClient, run_id: str, folder: Path) -> None:
    """Log the Keras model of a run folder as the MLflow model ``model``.

    Args:
        client: Client of the tracking server.
        run_id: The MLflow run.
        folder: Run folder.

    Raises:
        ConfigError: The run folder has no Keras model.
    """
    require_file(folder / KERAS_MODEL)
    keras = import_keras()  # before MLflow imports it with its log output
    import numpy as np

    with warnings.catch_warnings():
        # A warning about a type hint within MLflow.
        warnings.filterwarnings("ignore", ".*Any type hint is inferred", UserWarning)
        import mlflow.keras
        import mlflow.pyfunc
        from mlflow.models import Model

    # Not compiled, because prediction needs no optimizer.
    model = keras.models.load_model(folder / KERAS_MODEL, compile=False)
    with owned_folder("mlflow") as temporary:
        target = temporary / MODEL
        target.mkdir()  # MLflow writes the example before it creates the folder
        saved = Model(artifact_path=MODEL, run_id=run_id)
        mlflow.keras.save_model(
            model,
            str(target),
            mlflow_model=saved,
            signature=_signature(model),
            input_example=np.full((1, *model.input_shape[1:]), _GREY, np.float32),
            # Otherwise MLflow loads the model in a new process to infer them.
            pip_requirements=[f"{name}=={version(name)}" for name in _PACKAGES],
        )
        require_file(target / _SAVED)
        # MLflow's own loader would score pixels from 0 to 255 as if they were in [0, 1].
        saved.flavors[mlflow.pyfunc.FLAVOR_NAME].update(
            {mlflow.pyfunc.MAIN: _LOADER, mlflow.pyfunc.DATA: _SAVED}
        )
        saved.save(str(target / "MLmodel"))
        client.log_artifacts(run_id, str(target), MODEL)


def register_model(client: MlflowClient, run_id: str, name: str) -> str:
    """Register the logged model of a run as a new version of a registered model.

    Args:
        client: Client of the tracking server and of the registry.
        run_id: The MLflow run.
        name: Registered model; created if it does not exist.

    Returns:
        The number of the version.
    """
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code not in _EXISTS:
            raise
    source = f"{client.get_run(run_id).info.artifact_uri}/{MODEL}"
    created = client.create_model_version(name, source, run_id=run_id)
    logger.info("MLflow: version %s of the registered model %s", created.version, name)
    return str(created.version)


def _signature(model: Any) -> Any:
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    return ModelSignature(
        # The only type of pixels that MLflow takes from NumPy and from a column of Spark, which
        # has no uint8.
        inputs=Schema([TensorSpec(np.dtype("float32"), (-1, *model.input_shape[1:]))]),
        # A tensor of one probability a row would make spark_udf expect arrays of arrays, and fail.
        outputs=Schema([ColSpec("double", PROBABILITY)]),
    )
