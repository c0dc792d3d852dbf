"""Checkpoints of a run: where its training writes them, and whether it goes on from them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from glasses_spark.config.run import RunConfig
from glasses_spark.errors import ConfigError
from glasses_spark.runs.folder import CHECKPOINT
from glasses_spark.runs.remote_folder import has_results
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


def checkpoints_of(spark: SparkSession, run: RunConfig) -> str:
    """Return the folder or URI of the checkpoints; delete earlier ones unless they are resumed."""
    location = _location(run)
    folder = CheckpointFolder(spark, location)
    if not run.resume and not folder.is_empty():
        logger.warning(
            "deleted the checkpoint of an interrupted run in %s; --resume would have gone on from "
            "it",
            location,
        )
        folder.clear()
    return location


def _location(run: RunConfig) -> str:
    return f"{run.dir.rstrip('/')}/{CHECKPOINT}"
