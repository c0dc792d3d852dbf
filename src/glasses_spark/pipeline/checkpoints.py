"""Checkpoints of a run: where its training writes them, and whether it goes on from them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from glasses_spark.config.run import RunConfig
from glasses_spark.errors import ConfigError
from glasses_spark.runs.folder import CHECKPOINT
from glasses_spark.runs.remote_folder import has_results
from glasses_spark.runtime.folder_lock import locked_folder
from glasses_spark.runtime.location import local_folder
from glasses_spark.training.checkpoint.folder import CheckpointFolder

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)


def require_resumable(spark: SparkSession, run: RunConfig) -> None:
    """Refuse to resume a run that has finished.

    A run that has written no checkpoint yet is resumed from its start, so that the same command
    can be repeated until the run has finished.

    Raises:
        ConfigError: The run folder has results, and no checkpoint of a later run.
    """
    if run.resume and CheckpointFolder(spark, _location(run)).is_empty():
        if has_results(spark, run.dir):
            raise ConfigError(
                f"run.resume: {run.dir} holds a finished run and no checkpoint, so there is "
                "nothing to resume. Train anew without --resume, or use another run.dir"
            )
        logger.warning("%s has no checkpoint, so the training begins anew", run.dir)


@contextmanager
def own_checkpoints(spark: SparkSession, run: RunConfig) -> Iterator[str]:
    """Use the folder or URI of the checkpoints for a block; earlier ones are deleted or resumed.

    Raises:
        ConfigError: Another process of this machine trains to the same run folder. Two processes
            on other file systems than disks are not noticed.
    """
    location = _location(run)
    taken = ConfigError(
        f"run.dir: another process trains to {run.dir}. End it, or use another run.dir"
    )
    with locked_folder(local_folder(location), taken):
        folder = CheckpointFolder(spark, location)
        if not run.resume and not folder.is_empty():
            logger.warning(
                "deleted the checkpoint of an interrupted run in %s; --resume would have gone on "
                "from it",
                location,
            )
            folder.clear()
        yield location


def _location(run: RunConfig) -> str:
    return f"{run.dir.rstrip('/')}/{CHECKPOINT}"
