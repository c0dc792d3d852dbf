"""Run folders at a path or at a URI that Hadoop reaches."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from glasses_spark.errors import ConfigError
from glasses_spark.runs.folder import (
    CONFIG,
    METRICS,
    OURS,
    check_contents,
    is_run_folder,
    not_a_run_folder,
)
from glasses_spark.runs.new_folder import (
    NewRunFolder,
    check_target,
    fallback_targets,
    new_run_folder,
)
from glasses_spark.runs.staging import recover
from glasses_spark.runtime import hadoop
from glasses_spark.runtime.location import local_folder
from glasses_spark.runtime.owned_folder import owned_folder

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)


def check_run_location(spark: SparkSession, location: str) -> None:
    """Check that the results of a run can be written to a location, by a try.

    Args:
        spark: Session with access to the location.
        location: Path on this machine, or URI; its contents as for ``check_run_folder``.

    Raises:
        ConfigError: It cannot be reached or written, or has other contents.
    """
    folder = local_folder(location)
    if folder is not None:
        return check_target(folder)
    if not urlsplit(location).path.strip("/"):
        raise ConfigError(f"run.dir: expected a folder, got {location}. Use a folder below it")
    address = location.rstrip("/")
    for fallback in fallback_targets(address.rpartition("/")[2]):
        recover(fallback.folder)
    with _explain_failures(location):
        _restore_renamed(spark, address)
        _check_contents(spark, location)
        _try_location(spark, address)
    return None


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
def new_run_folder_at(spark: SparkSession, location: str) -> Iterator[NewRunFolder]:
    """Provide a new run folder for a block that writes its results, at a path or URI.

    Args:
        spark: Session with access to the location.
        location: Path on this machine, or URI; an earlier run folder there is replaced.

    Yields:
        The new run folder. For a URI it is on this machine, and then uploaded to a temporary
        folder in the same parent.

    Raises:
        GlassesSparkError: As for ``new_run_folder``.
    """
    folder = local_folder(location)
    if folder is not None:
        with new_run_folder(folder) as new:
            yield new
        return
    address = location.rstrip("/")

    def upload(staged: Path) -> None:
        try:
            _check_contents(spark, location)
            _replace(spark, staged, address)
        except hadoop.error_types() as error:
            raise OSError(hadoop.reason_of(error)) from error

    staging = fallback_targets(address.rpartition("/")[2])[0].folder
    with new_run_folder(staging, location=location, upload=upload) as new:
        yield new


@contextmanager
def local_configuration(spark: SparkSession, location: str) -> Iterator[Path]:
    """Yield a temporary local copy of the configuration of a run at a URI.

    Raises:
        ConfigError: The location is not a run folder, or cannot be reached.
    """
    with owned_folder("run") as folder:
        with _explain_failures(location):
            exists = hadoop.is_folder(spark, location)
            for name in (CONFIG, METRICS):
                if not exists or not hadoop.exists(spark, f"{location}/{name}"):
                    raise not_a_run_folder(location, exists=exists)
            copy = folder / CONFIG
            hadoop.get(spark, f"{location}/{CONFIG}", copy)
        yield copy


def _check_contents(spark: SparkSession, location: str) -> None:
    if hadoop.exists(spark, location):
        is_folder = hadoop.is_folder(spark, location)
        check_contents(location, hadoop.list_names(spark, location) if is_folder else None)


def _replace(spark: SparkSession, staged: Path, address: str) -> None:
    """Upload a folder, and put it in the place of the earlier one."""
    parent, _, name = address.rpartition("/")
    # In the same parent folder, where most file systems rename atomically.
    mark = f"{parent}/.{name}.{uuid.uuid4().hex[:8]}"
    temporary, previous = f"{mark}.new", f"{mark}.old"
    try:
        hadoop.put(spark, staged, temporary)
        if hadoop.exists(spark, address):
            hadoop.move(spark, address, previous)
        hadoop.move(spark, temporary, address)
    except BaseException:
        if hadoop.exists(spark, previous) and not hadoop.exists(spark, address):
            hadoop.move(spark, previous, address)
        with suppress(Exception):
            hadoop.delete(spark, temporary)
        raise
    _remove_previous(spark, previous, address)


def _remove_previous(spark: SparkSession, previous: str, address: str) -> None:
    """Remove an earlier run folder, but keep the files in it that are not ours."""
    try:
        if not hadoop.exists(spark, previous):
            return
        for name in set(hadoop.list_names(spark, previous)) - OURS:
            if not hadoop.exists(spark, f"{address}/{name}"):
                hadoop.move(spark, f"{previous}/{name}", f"{address}/{name}")
        hadoop.delete(spark, previous)
    except hadoop.error_types() as error:
        logger.warning(
            "%s has files beside earlier results, and could not be removed: %s",
            previous,
            hadoop.reason_of(error),
        )


def _restore_renamed(spark: SparkSession, address: str) -> None:
    """Undo or complete the two renames of a run that was killed in between."""
    parent, _, name = address.rpartition("/")
    if not hadoop.exists(spark, f"{parent}/"):
        return
    names = set(hadoop.list_names(spark, f"{parent}/"))
    for found in sorted(names):
        if re.fullmatch(rf"\.{re.escape(name)}\.[0-9a-f]+\.old", found) is None:
            continue
        new = f"{found.removesuffix('.old')}.new"
        if name not in names:
            # The earlier folder was renamed once the new one was complete.
            hadoop.move(spark, f"{parent}/{new if new in names else found}", address)
            logger.warning("%s: restored after a run that was killed", address)
            names.add(name)
        _remove_previous(spark, f"{parent}/{found}", address)


def _try_location(spark: SparkSession, address: str) -> None:
    """Write, rename and remove a file beside the results.

    Raises:
        OSError: The file system refused. Other errors are those of Hadoop.
    """
    parent, _, name = address.rpartition("/")
    mark = f"{parent}/.{name}.{uuid.uuid4().hex[:8]}"
    with owned_folder("run") as folder:
        (folder / "tried").write_text(address)
        try:
            hadoop.put(spark, folder / "tried", f"{mark}.tried")
            hadoop.move(spark, f"{mark}.tried", f"{mark}.moved")
        finally:
            for path in (f"{mark}.tried", f"{mark}.moved"):
                with suppress(Exception):
                    hadoop.delete(spark, path)


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
