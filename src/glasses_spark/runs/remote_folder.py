"""Run place: the run folder where the configuration wants it, on this machine or at a URI."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from glasses_spark.errors import ConfigError
from glasses_spark.runs import folder as run_folder
from glasses_spark.runtime import hadoop
from glasses_spark.runtime.location import local_folder

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def check_run_place(spark: SparkSession, location: str) -> None:
    """Refuse a place where the results of a run cannot go.

    Args:
        spark: Session that reaches it.
        location: Path on this machine, or URI; what is there as for ``check_run_folder``.

    Raises:
        ConfigError: It cannot be reached, or holds something else.
    """
    folder = local_folder(location)
    if folder is not None:
        return run_folder.check_run_folder(folder)
    if not urlsplit(location).path.strip("/"):
        raise ConfigError(f"run.dir: expected a folder, got {location}; name one in it")
    with _reached(location):
        if not hadoop.exists(spark, location):
            return None
        if not hadoop.is_folder(spark, location):
            raise ConfigError(f"run.dir: {location} is a file; expected a folder for the results")
        names = hadoop.list_names(spark, location)
    if names and not {run_folder.CONFIG, run_folder.METRICS} <= set(names):
        raise ConfigError(
            f"run.dir: {location} holds something else than the results of a run (it has no "
            f"{run_folder.CONFIG} and {run_folder.METRICS}), and is not replaced; name another "
            "folder"
        )
    return None


@contextmanager
def new_run_place(spark: SparkSession, location: str) -> Iterator[Path]:
    """Make a run folder in one go, wherever it is to lie.

    Args:
        spark: Session that reaches it.
        location: Path on this machine, or URI; an earlier run folder there is replaced.

    Yields:
        An empty folder on this machine to write into. When the block ends well it
        takes the place of ``location``; for a URI it is copied beside it first.

    Raises:
        ConfigError: As for ``check_run_place``, or it cannot be written.
    """
    folder = local_folder(location)
    if folder is not None:
        with run_folder.new_run_folder(folder) as fresh:
            yield fresh
        return
    check_run_place(spark, location)
    with TemporaryDirectory(prefix="glasses-spark-run-") as staging:
        staged = Path(staging) / "run"
        staged.mkdir()
        yield staged
        with _reached(location):
            _replace(spark, staged, location.rstrip("/"))


@contextmanager
def configuration_of(spark: SparkSession, location: str) -> Iterator[Path]:
    """Copy the configuration of a run at a URI to this machine while the block runs.

    Raises:
        ConfigError: There is no run folder.
    """
    with TemporaryDirectory(prefix="glasses-spark-run-") as folder:
        with _reached(location):
            there = hadoop.is_folder(spark, location)
            for name in (run_folder.CONFIG, run_folder.METRICS):
                if not there or not hadoop.exists(spark, f"{location}/{name}"):
                    found = "a folder without them" if there else "no such folder"
                    raise run_folder.no_run_folder(location, found)
            copy = Path(folder) / run_folder.CONFIG
            hadoop.get(spark, f"{location}/{run_folder.CONFIG}", copy)
        yield copy


def _replace(spark: SparkSession, staged: Path, location: str) -> None:
    parent, _, name = location.rpartition("/")
    mark = uuid.uuid4().hex[:8]
    # Beside it, thus on the same file system, where renaming is one step (on most).
    fresh, old = f"{parent}/.{name}.{mark}.new", f"{parent}/.{name}.{mark}.old"
    try:
        hadoop.put(spark, staged, fresh)
        if hadoop.exists(spark, location):
            hadoop.move(spark, location, old)
        hadoop.move(spark, fresh, location)
    except BaseException:
        if hadoop.exists(spark, old) and not hadoop.exists(spark, location):
            hadoop.move(spark, old, location)
        raise
    finally:
        for leftover in (fresh, old):
            with suppress(Exception):  # the results matter more
                hadoop.delete(spark, leftover)


@contextmanager
def _reached(location: str) -> Iterator[None]:
    try:
        yield
    except hadoop.error_types() as error:
        reason = hadoop.reason_of(error)
        raise ConfigError(
            f"{location}: cannot be used for the results of a run ({reason}). Check the address "
            "and the rights there"
        ) from error
