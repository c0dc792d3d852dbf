"""Checkpoint: the folder of a watch with its state, for one process at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Final

from pyspark.sql import SparkSession

from glasses_spark.errors import ConfigError
from glasses_spark.printable import printable
from glasses_spark.runtime import hadoop
from glasses_spark.runtime.folder_lock import locked_folder
from glasses_spark.runtime.location import local_folder

_IDENTITY: Final = "watch.json"


@contextmanager
def own_checkpoint(spark: SparkSession, folder: str, identity: Mapping[str, str]) -> Iterator[None]:
    """Use a checkpoint for a block.

    Args:
        spark: Running session.
        folder: Path or URI; made if it is missing.
        identity: What must not change from one use to the next, by the option that sets it.

    Raises:
        ConfigError: The checkpoint is of something else, cannot be written, or another process of
            this machine uses it. Two processes on other file systems than disks are not noticed
            here; Spark ends one of them.
    """
    taken = ConfigError(
        f"--checkpoint: another process watches with {folder}. End it, or use another --output"
    )
    with ExitStack() as stack:
        try:
            stack.enter_context(locked_folder(local_folder(folder), taken))
            _require_same(spark, folder, identity)
        except OSError as error:
            raise ConfigError(
                f"--checkpoint: {folder} cannot be used: {error.strerror or error}. "
                "Use another folder"
            ) from error
        yield


def _require_same(spark: SparkSession, folder: str, identity: Mapping[str, str]) -> None:
    location = f"{folder}/{_IDENTITY}"
    if not hadoop.exists(spark, location):
        # By a rename, so that a killed process leaves no half of it.
        hidden = f"{folder}/.{_IDENTITY}"
        hadoop.write_text(spark, hidden, json.dumps(identity, indent=2) + "\n")
        hadoop.move(spark, hidden, location)
        return
    try:
        before = json.loads(hadoop.read_text(spark, location))
    except (ValueError, RecursionError):
        before = None
    if not isinstance(before, dict):
        raise ConfigError(
            f"--checkpoint: {location} is not from `glasses-spark watch`. Use another --output"
        )
    for option, value in identity.items():
        if before.get(option) != value:
            raise ConfigError(
                f"{option}: {folder} was made with {printable(str(before.get(option))[:200])}, got "
                f"{value}. Use another --output for another folder or model"
            )
