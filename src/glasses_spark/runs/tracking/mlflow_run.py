"""MLflow run with the parameters, metrics, files and model of a finished run."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from glasses_spark.errors import TrackingError
from glasses_spark.extras import require_extra
from glasses_spark.notebook_html import is_secret
from glasses_spark.printable import printable
from glasses_spark.runs.figures import read_history, read_metrics
from glasses_spark.runs.folder import KERAS_MODEL, require_run_folder
from glasses_spark.runs.read import flatten, read_config
from glasses_spark.runs.tracking.mlflow_model import log_model, register_model
from glasses_spark.runs.tracking.redact import (
    REDACTED,
    holds_password,
    secrets_in,
    without_credentials,
)
from glasses_spark.runtime.owned_folder import owned_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

# In the current folder, the default of `mlflow ui`.
LOCAL_STORE: Final = "mlruns"
EXPERIMENT: Final = "glasses-spark"

# Logged as an MLflow model instead.
_SKIPPED_FILES: Final = frozenset({KERAS_MODEL})
_TEXT_SUFFIXES: Final = frozenset({".toml", ".json", ".html", ".csv", ".svg", ".txt", ".md"})

# MLflow's limits for one call.
_MAX_METRICS: Final = 1000
_MAX_PARAMETERS: Final = 100
_MAX_PARAMETER_LENGTH: Final = 6000

_SETTINGS: Final = {
    # MLflow refuses file stores, which are in maintenance mode, without this.
    "MLFLOW_ALLOW_FILE_STORE": "true",
    # MLflow sends usage data by default.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    # With the default of 7 an unreachable server takes four minutes to fail.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
}

_CREDENTIALS: Final = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")


def require_mlflow() -> None:
    """Check that MLflow is installed, without importing it.

    Raises:
        SetupError: MLflow is not installed; the message names the extra.
    """
    # Importing MLflow takes two seconds.
    if find_spec("mlflow") is None:
        require_extra("mlflow", extra="mlflow", purpose="logging runs to MLflow")


def log_run(
    folder: str | Path,
    *,
    uri: str = "",
    experiment: str = EXPERIMENT,
    registered_model: str = "",
) -> str:
    """Log a finished run to MLflow.

    The MLflow run has the configuration as parameters; the history as metrics by epoch,
    counted from 1; the numbers of ``metrics.json`` as metrics named by their levels
    (``test.accuracy``); its strings, such as versions, as tags; the files of the run folder; and
    the Keras model as the MLflow model ``model``, which ``mlflow.pyfunc`` loads and applies to
    columns of Spark. Values of secret settings, and users and passwords in URIs, are redacted.

    MLflow's active run and tracking URI stay unchanged.

    Args:
        folder: Run folder, such as ``Result.run_dir``.
        uri: Tracking URI, or a folder for a file store. By default the environment variable
            MLFLOW_TRACKING_URI, else ``mlruns`` in the current folder.
        experiment: Name of the MLflow experiment; created if missing.
        registered_model: Name in the model registry of which the model becomes a new version;
            created if missing. Empty registers nothing. The registry is that of the tracking
            URI, unless the environment variable MLFLOW_REGISTRY_URI names another.

    Returns:
        The id of the MLflow run.

    Raises:
        ConfigError: The folder is not a run folder, or lacks a file.
        SetupError: MLflow is not installed.
        TrackingError: Logging failed; a partial MLflow run is marked as failed, and the run
            folder is unchanged. Or the model cannot be registered; the MLflow run is complete.
    """
    folder = Path(folder)
    require_run_folder(folder)
    require_mlflow()
    store = _store(uri)
    with _settings():
        # MLflow and its backends raise errors of any type, with URIs in their messages.
        try:
            run_id = _log(folder, store, experiment)
        except Exception as error:
            raise TrackingError(
                f"cannot log the run {folder} to MLflow at {_safe(store)}: {_reason(error)}"
            ) from None
        try:
            _register(store, run_id, registered_model)
        except Exception as error:
            raise TrackingError(
                f"cannot register the model {printable(registered_model)} of the MLflow run "
                f"{run_id}: {_reason(error)}. The MLflow run at {_safe(store)} is complete"
            ) from None
    return run_id


def _register(store: str, run_id: str, name: str) -> None:
    from mlflow import MlflowClient

    if name:
        register_model(MlflowClient(tracking_uri=store), run_id, name)


def _log(folder: Path, store: str, experiment: str) -> str:
    # Imported here, because it takes two seconds and belongs to an extra.
    from mlflow import MlflowClient
    from mlflow.tracking.context.registry import resolve_tags

    config, metrics, history = read_config(folder), read_metrics(folder), read_history(folder)
    client = MlflowClient(tracking_uri=store)
    run = client.create_run(
        _experiment_id(client, experiment),
        # MLflow's default tags: user, script, commit of the repository.
        tags={name: _safe(value) for name, value in resolve_tags().items()},
        run_name=folder.absolute().name,
    )
    run_id: str = run.info.run_id
    try:
        _log_numbers(client, run_id, config, metrics, history)
        _log_files(client, run_id, folder, config)
        log_model(client, run_id, folder)
    except BaseException as error:
        # If the store is unreachable, the first error is more useful than this one.
        with suppress(Exception):
            client.set_terminated(run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    client.set_terminated(run_id)
    logger.info("MLflow at %s: run %s of experiment %s", _safe(store), run_id, experiment)
    return run_id


def _experiment_id(client: MlflowClient, name: str) -> str:
    experiment = client.get_experiment_by_name(name)
    experiment_id: str = experiment.experiment_id if experiment else client.create_experiment(name)
    return experiment_id


def _log_numbers(
    client: MlflowClient,
    run_id: str,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
) -> None:
    from mlflow.entities import Metric, Param, RunTag

    now, final = int(time.time() * 1000), flatten(metrics)
    strings = {
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
        if name not in strings
    ]
    parameters = [Param(name, _parameter(name, value)) for name, value in config.items()]
    tags = [RunTag(name, _safe(value)) for name, value in strings.items()]
    client.log_batch(run_id, tags=tags)
    for batch in _batches(parameters, _MAX_PARAMETERS):
        client.log_batch(run_id, params=batch)
    for batch in _batches(points, _MAX_METRICS):
        client.log_batch(run_id, metrics=batch)


def _log_files(client: MlflowClient, run_id: str, folder: Path, config: Mapping[str, Any]) -> None:
    secrets = secrets_in(config)
    with owned_folder("mlflow") as temporary:
        for path in sorted(folder.iterdir()):
            if not path.is_file() or path.name in _SKIPPED_FILES:
                continue
            if path.suffix in _TEXT_SUFFIXES:
                text = path.read_text(encoding="utf-8")
                redacted = without_credentials(text, secrets if path.suffix != ".json" else ())
                if redacted != text:
                    path = temporary / path.name
                    path.write_text(redacted, encoding="utf-8")
            elif holds_password(str(config.get("data.images", ""))):
                logger.warning(
                    "%s is not logged to MLflow: its paths may contain the password of data.images",
                    path.name,
                )
                continue
            client.log_artifact(run_id, str(path))


@contextmanager
def _settings() -> Iterator[None]:
    """Set MLflow's environment variables, except those of the user, while the block runs."""
    added = {name: value for name, value in _SETTINGS.items() if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)


def _store(uri: str) -> str:
    """Return the tracking URI; a folder becomes a file URI."""
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI", "") or LOCAL_STORE
    # MLflow accepts "databricks" as a URI.
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
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return _safe(text)[:_MAX_PARAMETER_LENGTH]


def _batches(entries: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    return (entries[start : start + size] for start in range(0, len(entries), size))


def _reason(error: Exception) -> str:
    return _safe(next(iter(str(error).strip().splitlines()), type(error).__name__))


def _safe(text: str) -> str:
    return without_credentials(text, {os.environ[n] for n in _CREDENTIALS if os.environ.get(n)})
