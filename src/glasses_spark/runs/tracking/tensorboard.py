"""TensorBoard event files of a finished run."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from glasses_spark.runs.figures import read_history
from glasses_spark.runs.folder import CONFIG, TENSORBOARD, require_run_folder
from glasses_spark.runs.read import read_config
from glasses_spark.runs.tracking.redact import secrets_in, without_credentials
from glasses_spark.runtime.keras import import_keras

# Names of the Keras callback, so that runs of both share charts.
TRAIN: Final = "train"
VALIDATION: Final = "validation"
_VALIDATION_PREFIX: Final = "val_"


def write_event_files(folder: Path) -> None:
    """Write the metrics of each epoch of a finished run for TensorBoard.

    The folder ``tensorboard`` of the run folder gets ``train`` and ``validation`` with scalars
    named ``epoch_loss``, ``epoch_accuracy`` and so on. ``train`` also has the configuration as
    text and the ``rows``, ``seconds`` and ``staleness`` of each worker. The step is the epoch,
    counted from 1. Existing event files are replaced.

    Args:
        folder: Run folder, such as ``Result.run_dir``.

    Raises:
        ConfigError: It is not a run folder, or lacks a file.
    """
    require_run_folder(folder)
    history = read_history(folder)
    secrets = secrets_in(read_config(folder))
    config = without_credentials((folder / CONFIG).read_text(encoding="utf-8"), secrets)
    target = folder / TENSORBOARD
    shutil.rmtree(target, ignore_errors=True)

    import_keras()  # imports TensorFlow without its log output
    import tensorflow as tf

    with tf.summary.create_file_writer(str(target / TRAIN)).as_default():
        # Indented, so that Markdown shows it as code.
        tf.summary.text("config", "\n".join(f"    {line}" for line in config.splitlines()), step=0)
        for record in history:
            _write(record["epoch"], _training_scalars(record), tf.summary.scalar)
    validated = [(record["epoch"], _validation_scalars(record)) for record in history]
    if any(scalars for _, scalars in validated):
        with tf.summary.create_file_writer(str(target / VALIDATION)).as_default():
            for epoch, scalars in validated:
                _write(epoch, scalars, tf.summary.scalar)


def _write(epoch: int, scalars: Mapping[str, float], write: Any) -> None:
    for name, value in scalars.items():
        write(name, value, step=epoch)


def _training_scalars(record: Mapping[str, Any]) -> dict[str, float]:
    scalars = {
        f"epoch_{name}": value
        for name, value in record.items()
        if name not in ("epoch", "workers") and not name.startswith(_VALIDATION_PREFIX)
    }
    for share in record.get("workers", ()):
        scalars |= {
            f"worker_{share['worker']}/{name}": value
            for name, value in share.items()
            if name != "worker"
        }
    return scalars


def _validation_scalars(record: Mapping[str, Any]) -> dict[str, float]:
    return {
        f"epoch_{name.removeprefix(_VALIDATION_PREFIX)}": value
        for name, value in record.items()
        if name.startswith(_VALIDATION_PREFIX)
    }
