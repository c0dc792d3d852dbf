"""Run folders at a path or at a URI that Hadoop reaches."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from glasses_spark.errors import ConfigError
from glasses_spark.runs.folder import (
    CONFIG,
    METRICS,
    check_contents,
    check_run_folder,
    is_run_folder,
    new_run_folder,
    not_a_run_folder,
)
from glasses_spark.runtime import hadoop
from glasses_spark.runtime.location import local_folder

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def check_run_location(spark: SparkSession, location: str) -> None:
    """Check that the results of a run may be written to a location.

    Args:
        spark: Session with access to the location.
        location: Path on this machine, or URI; its contents as for ``check_run_folder``.

    Raises:
        ConfigError: It cannot be reached, or has other contents.
    """
    folder = local_folder(location)
    if folder is not None:
        return check_run_folder(folder)
    if not urlsplit(location).path.strip("/"):
        raise ConfigError(f"run.dir: expected a folder, got {location}. Use a folder below it")
    with _explain_failures(location):
        if not hadoop.exists(spark, location):
            return None
        is_folder = hadoop.is_folder(spark, location)
        names = hadoop.list_names(spark, location) if is_folder else None
    return check_contents(location, names)


def has_results(spark: SparkSession, location: str) -> bool:
    """Return whether a path on this machine or a URI holds the results of a run.

    Raises:
        ConfigError: The location cannot be reached.
    """
    folder = local_folder(location)
    if folder is not None:
        return is_run_folder(folder)
    with _explain_failures(location):
        names = (f"{location.rstrip('/')}/{name}" for name in (CONFIG, METRICS))
        return all(hadoop.exists(spark, name) for name in names)


@contextmanager
def new_run_folder_at(spark: SparkSession, location: str) -> Iterator[Path]:
    """Write a run folder atomically, at a path or URI.

    Args:
        spark: Session with access to the location.
        location: Path on this machine, or URI; an earlier run folder there is replaced.

    Yields:
        An empty folder on this machine to write to. After the block it replaces ``location``;
        for a URI it is first uploaded to a temporary folder in the same parent.

    Raises:
        ConfigError: As for ``check_run_location``, or the location is not writable.
    """
    folder = local_folder(location)
    if folder is not None:
        with new_run_folder(folder) as temporary:
            yield temporary
        return
    check_run_location(spark, location)
    with TemporaryDirectory(prefix="glasses-spark-run-") as staging:
        staged = Path(staging) / "run"
        staged.mkdir()
        yield staged
        with _explain_failures(location):
            _replace(spark, staged, location.rstrip("/"))


@contextmanager
def local_configuration(spark: SparkSession, location: str) -> Iterator[Path]:
    """Yield a temporary local copy of the configuration of a run at a URI.

    Raises:
        ConfigError: The location is not a run folder, or cannot be reached.
    """
    with TemporaryDirectory(prefix="glasses-spark-run-") as folder:
        with _explain_failures(location):
            exists = hadoop.is_folder(spark, location)
            for name in (CONFIG, METRICS):
                if not exists or not hadoop.exists(spark, f"{location}/{name}"):
                    raise not_a_run_folder(location, exists=exists)
            copy = Path(folder) / CONFIG
            hadoop.get(spark, f"{location}/{CONFIG}", copy)
        yield copy


def _replace(spark: SparkSession, staged: Path, location: str) -> None:
    parent, _, name = location.rpartition("/")
    token = uuid.uuid4().hex[:8]
    # In the same parent folder, where most file systems rename atomically.
    temporary, previous = f"{parent}/.{name}.{token}.new", f"{parent}/.{name}.{token}.old"
    try:
        hadoop.put(spark, staged, temporary)
        if hadoop.exists(spark, location):
            hadoop.move(spark, location, previous)
        hadoop.move(spark, temporary, location)
    except BaseException:
        if hadoop.exists(spark, previous) and not hadoop.exists(spark, location):
            hadoop.move(spark, previous, location)
        raise
    finally:
        for leftover in (temporary, previous):
            with suppress(Exception):  # the results are complete even if this fails
                hadoop.delete(spark, leftover)


@contextmanager
def _explain_failures(location: str) -> Iterator[None]:
    try:
        yield
    except hadoop.error_types() as error:
        reason = hadoop.reason_of(error)
        raise ConfigError(
            f"{location}: cannot be used for the results of a run ({reason}). Check the address "
            "and the permissions"
        ) from error
