"""MLflow run: parameters, metrics, files and model of a finished run, in MLflow's store."""

from __future__ import annotations

import logging
import os
import tempfile
import time
import tomllib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from glasses_spark.errors import SetupError, TrackingError
from glasses_spark.runs import folder as run_folder
from glasses_spark.runs.read import flat
from glasses_spark.runs.tracking.redact import (
    REDACTED,
    holds_password,
    is_secret,
    secrets_in,
    without_credentials,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

# In the current folder, where `mlflow ui` looks for it.
LOCAL_STORE: Final = "mlruns"
EXPERIMENT: Final = "glasses-spark"
MODEL: Final = "model"
_MODEL_PACKAGES: Final = ("tensorflow", "keras", "numpy")

# The model goes by itself, as MLflow's own.
_NOT_FILES: Final = frozenset({run_folder.KERAS_MODEL})
_TEXTS: Final = frozenset({".toml", ".json", ".html", ".csv", ".svg", ".txt"})

# What MLflow takes in one call.
_MOST_METRICS: Final = 1000
_MOST_PARAMETERS: Final = 100
_LONGEST_PARAMETER: Final = 6000

_SETTINGS: Final = {
    # Kept up but not developed further by MLflow, which wants to hear that this is known.
    "MLFLOW_ALLOW_FILE_STORE": "true",
    # By default MLflow tells its makers how it is used. A training library should not.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # The default of 7 waits four minutes for a server that is not there.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
}

_CREDENTIALS: Final = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")


def require_mlflow() -> None:
    """Refuse to go on without MLflow; it is looked for and not imported.

    Raises:
        SetupError: It is not installed.
    """
    if find_spec("mlflow") is None:
        raise SetupError(
            "MLflow is not installed: add it with `pip install 'glasses-spark[mlflow]'`, or set "
            "tracking.mlflow to false"
        )


def log_run(folder: str | Path, *, uri: str = "", experiment: str = EXPERIMENT) -> str:
    """Record a finished run in MLflow.

    A new MLflow run holds the configuration as parameters; the history as metrics by epoch,
    counted from 1; the numbers of ``metrics.json`` as metrics with the names of its levels
    joined by dots (``test.accuracy``); its texts, such as versions, as tags; the files of the
    run folder; and the Keras model, with its signature, as the MLflow model ``model``. Values
    of settings that Spark takes for secrets, and users and passwords in URIs, are left out.

    Neither MLflow's active run nor its tracking URI is changed.

    Args:
        folder: Run folder, such as ``Result.run_dir``.
        uri: Tracking URI, or a folder for a file store. By default the environment variable
            MLFLOW_TRACKING_URI, else ``mlruns`` in the current folder.
        experiment: Name of MLflow's experiment; it is made where it is missing.

    Returns:
        The id of the MLflow run.

    Raises:
        ConfigError: It is not a run folder, or lacks a file.
        SetupError: MLflow is not installed.
        TrackingError: MLflow did not take the run; what it has of it is marked as failed.
            The run folder is as it was.
    """
    folder = Path(folder)
    run_folder.require_run_folder(folder)
    require_mlflow()
    store = _store(uri)
    with _settings():
        try:
            return _log(folder, store, experiment)
        # MLflow and what it stores with raise all kinds, and the reasons may hold URIs.
        except Exception as error:
            reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise TrackingError(
                f"MLflow at {_safe(store)} did not take the run {folder}: {_safe(reason)}"
            ) from None


def _log(folder: Path, store: str, experiment: str) -> str:
    # Imported here: it takes two seconds, and is there as an extra only.
    from mlflow import MlflowClient
    from mlflow.tracking.context.registry import resolve_tags

    config = flat(tomllib.loads((folder / run_folder.CONFIG).read_text(encoding="utf-8")))
    metrics = run_folder.read_json(folder / run_folder.METRICS)
    history = run_folder.read_json(folder / run_folder.HISTORY)
    client = MlflowClient(tracking_uri=store)
    run = client.create_run(
        _experiment_id(client, experiment),
        # MLflow's own: user, script, commit of the current folder's repository.
        tags={name: _safe(value) for name, value in resolve_tags().items()},
        run_name=folder.absolute().name,
    )
    run_id: str = run.info.run_id
    try:
        _log_numbers(client, run_id, config, metrics, history)
        _log_files(client, run_id, folder, config)
        _log_model(client, run_id, folder)
    except BaseException as error:
        # Where the store is gone, the first error says more than this one.
        with suppress(Exception):
            client.set_terminated(run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    client.set_terminated(run_id)
    logger.info("MLflow at %s: run %s of experiment %s", _safe(store), run_id, experiment)
    return run_id


def _experiment_id(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    experiment_id: str = found.experiment_id if found else client.create_experiment(name)
    return experiment_id


def _log_numbers(
    client: MlflowClient,
    run_id: str,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
) -> None:
    from mlflow.entities import Metric, Param, RunTag

    now, final = int(time.time() * 1000), flat(metrics)
    words = {
        name: str(value)
        for name, value in final.items()
        if name.startswith("environment.") or isinstance(value, str)
    }
    points = [
        Metric(name, float(value), now, int(record["epoch"]))
        for record in history
        for name, value in _numbers(record).items()
        if name != "epoch"
    ]
    last = max((int(record["epoch"]) for record in history), default=0)
    points += [
        Metric(name, float(value), now, last)
        for name, value in _numbers(final).items()
        if name not in words
    ]
    parameters = [Param(name, _parameter(name, value)) for name, value in config.items()]
    tags = [RunTag(name, _safe(value)) for name, value in words.items()]
    client.log_batch(run_id, tags=tags)
    for some in _parts(parameters, _MOST_PARAMETERS):
        client.log_batch(run_id, params=some)
    for some in _parts(points, _MOST_METRICS):
        client.log_batch(run_id, metrics=some)


def _log_files(client: MlflowClient, run_id: str, folder: Path, config: Mapping[str, Any]) -> None:
    secrets = secrets_in(config)
    with tempfile.TemporaryDirectory(prefix="glasses-spark-mlflow-") as spare:
        for path in sorted(folder.iterdir()):
            if not path.is_file() or path.name in _NOT_FILES:
                continue
            if path.suffix in _TEXTS:
                text = path.read_text(encoding="utf-8")
                safe = without_credentials(text, secrets if path.suffix != ".json" else ())
                if safe != text:
                    path = Path(spare) / path.name
                    path.write_text(safe, encoding="utf-8")
            elif holds_password(str(config.get("data.images", ""))):
                logger.warning(
                    "%s is not given to MLflow: its paths may hold the password of data.images",
                    path.name,
                )
                continue
            client.log_artifact(run_id, str(path))


def _log_model(client: MlflowClient, run_id: str, folder: Path) -> None:
    from glasses_spark.runtime.keras import import_keras

    keras = import_keras()  # quietly, before MLflow does
    import numpy as np

    with warnings.catch_warnings():
        # MLflow warns of a type in a signature of its own.
        warnings.filterwarnings("ignore", ".*Any type hint is inferred", UserWarning)
        import mlflow.keras
        import mlflow.pyfunc
        from mlflow.models import ModelSignature
        from mlflow.types import Schema, TensorSpec

    run_folder.require_file(folder / run_folder.KERAS_MODEL)
    # What it was trained with does not matter to those who predict with it.
    model = keras.models.load_model(folder / run_folder.KERAS_MODEL, compile=False)
    one = np.dtype("float32")
    signature = ModelSignature(
        inputs=Schema([TensorSpec(one, (-1, *model.input_shape[1:]))]),
        outputs=Schema([TensorSpec(one, (-1, *model.output_shape[1:]))]),
    )
    with tempfile.TemporaryDirectory(prefix="glasses-spark-mlflow-") as spare:
        place = Path(spare) / MODEL
        mlflow.keras.save_model(
            model,
            str(place),
            signature=signature,
            # Else MLflow loads the model in a process of its own to find out.
            pip_requirements=[f"{name}=={version(name)}" for name in _MODEL_PACKAGES],
        )
        client.log_artifacts(run_id, str(place), MODEL)


@contextmanager
def _settings() -> Iterator[None]:
    """Set what MLflow reads from the environment, where the user has not; put it back."""
    ours = {name: value for name, value in _SETTINGS.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        yield
    finally:
        for name in ours:
            os.environ.pop(name, None)


def _store(uri: str) -> str:
    """Return the tracking URI; a folder becomes one."""
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI", "") or LOCAL_STORE
    # "databricks" is a whole URI to MLflow.
    if ":" in uri or uri == "databricks":
        return uri
    return Path(uri).absolute().as_uri()


def _numbers(table: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: value
        for name, value in table.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    }


def _parameter(name: str, value: Any) -> str:
    if is_secret(name):
        return REDACTED
    shown = str(value).lower() if isinstance(value, bool) else str(value)
    return _safe(shown)[:_LONGEST_PARAMETER]


def _parts(entries: Sequence[Any], most: int) -> Iterator[Sequence[Any]]:
    return (entries[start : start + most] for start in range(0, len(entries), most))


def _safe(text: str) -> str:
    return without_credentials(text, {os.environ[n] for n in _CREDENTIALS if os.environ.get(n)})
