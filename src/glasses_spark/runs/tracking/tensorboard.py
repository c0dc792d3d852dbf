"""TensorBoard: the history of a finished run as event files."""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from glasses_spark.runs import folder as run_folder
from glasses_spark.runs.read import flat
from glasses_spark.runs.tracking.redact import secrets_in, without_credentials
from glasses_spark.runtime.keras import import_keras

# As the callback of Keras names them, so that runs of both kinds share their charts.
TRAIN: Final = "train"
VALIDATION: Final = "validation"
_VALIDATION_PREFIX: Final = "val_"


def write_event_files(folder: Path) -> None:
    """Write the figures of each epoch of a finished run for TensorBoard.

    They go to ``tensorboard`` in the run folder: ``train`` and ``validation`` hold scalars
    named ``epoch_loss``, ``epoch_accuracy`` and so on; ``train`` also the configuration as text,
    and for each worker its ``rows``, ``seconds`` and ``staleness``. The step is the epoch,
    counted from 1. Event files that are there already are replaced.

    Args:
        folder: Run folder, such as ``Result.run_dir``.

    Raises:
        ConfigError: It is not a run folder, or lacks a file.
    """
    run_folder.require_run_folder(folder)
    history = run_folder.read_json(folder / run_folder.HISTORY)
    config = (folder / run_folder.CONFIG).read_text(encoding="utf-8")
    config = without_credentials(config, secrets_in(flat(tomllib.loads(config))))
    target = folder / run_folder.TENSORBOARD
    shutil.rmtree(target, ignore_errors=True)

    import_keras()  # TensorFlow, imported quietly
    import tensorflow as tf

    with tf.summary.create_file_writer(str(target / TRAIN)).as_default():
        # Indented, which is code in Markdown.
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
