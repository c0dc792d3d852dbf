"""Record a finished run in MLflow and TensorBoard."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from glasses_spark.config.run import TrackingConfig
from glasses_spark.runs.tracking.mlflow_run import log_run
from glasses_spark.runtime.location import local_folder
from glasses_spark.runtime.progress import Progress

logger = logging.getLogger(__name__)


def record_run(location: str, tracking: TrackingConfig, progress: Progress) -> None:
    """Log a finished run to MLflow and TensorBoard, as configured.

    A failure is logged as a warning: the run folder is complete.

    Args:
        location: Path or URI of the run folder.
        tracking: What to log, and where.
        progress: Reports the stages.
    """
    folder = local_folder(location)
    if folder is None:
        if tracking.mlflow or tracking.tensorboard:
            logger.warning(
                "tracking needs a run.dir on this machine, found %s: the run is complete, but not "
                "logged to MLflow or TensorBoard",
                location,
            )
        return
    if tracking.tensorboard:
        # Imported here because it imports TensorFlow.
        from glasses_spark.runs.tracking.tensorboard import write_event_files

        with progress.stage("Writing TensorBoard logs"), _failure_as_warning(folder):
            write_event_files(folder)
    if tracking.mlflow:
        with progress.stage("Logging to MLflow"), _failure_as_warning(folder):
            log_run(
                folder,
                uri=tracking.uri,
                experiment=tracking.experiment,
                registered_model=tracking.registered_model,
            )


@contextmanager
def _failure_as_warning(folder: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        logger.warning("%s. The results in %s are complete", error, folder)
