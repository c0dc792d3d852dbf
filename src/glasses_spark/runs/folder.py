"""Run folder: where the results of one run lie, complete or not at all."""

from __future__ import annotations

import csv
import json
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from glasses_spark.errors import ConfigError, DataError
from glasses_spark.runtime.location import local_folder

# pyspark is not imported here: a place is checked before Spark is found and started.
if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CONFIG: Final = "config.toml"
METRICS: Final = "metrics.json"
CURVES: Final = "curves.json"
HISTORY: Final = "history.json"
PREDICTIONS: Final = "predictions.parquet"
QUARANTINE: Final = "quarantine.csv"
DUPLICATES: Final = "duplicates.csv"
CROSS_VALIDATION: Final = "cross_validation.json"
OUT_OF_FOLD: Final = "out_of_fold.parquet"
LABEL_DOUBT: Final = "label_doubt.csv"
CROSS_VALIDATION_PAGE: Final = "cross_validation.html"
REPORT: Final = "report.html"
PLOTS: Final = "plots"
MODEL: Final = "model"
KERAS_MODEL: Final = "model.keras"
TENSORBOARD: Final = "tensorboard"

# Rows that the driver holds at once while it writes a Parquet file.
_ROW_GROUP: Final = 10_000


def cross_validation_folder(run_dir: str) -> Path:
    """Return where a cross-validation goes: beside a run with the same configuration.

    Raises:
        ConfigError: That run lies at a URI, and not on this machine.
    """
    folder = local_folder(run_dir)
    if folder is None:
        raise ConfigError(
            "expected a folder on this machine for the results of a cross-validation, got "
            f"run.dir = {run_dir}; name one with --out (in Python: out=)"
        )
    return folder.with_name(f"{folder.name}-cross-validation")


def check_run_folder(folder: Path, *, results: str = METRICS) -> None:
    """Refuse a place where the results of a run cannot go.

    Args:
        folder: May be missing, empty, or the run folder of an earlier run.
        results: Name of the file by which runs of the same kind are known.

    Raises:
        ConfigError: It is a file, or a folder with anything else in it.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ConfigError(f"run.dir: {folder} is a file; expected a folder for the results")
    if any(folder.iterdir()) and not is_run_folder(folder, results=results):
        raise ConfigError(
            f"run.dir: {folder} holds something else than the results of a run (it has no "
            f"{CONFIG} and {results}), and is not replaced; name another folder"
        )


def is_run_folder(folder: Path, *, results: str = METRICS) -> bool:
    """Return whether a run has left its results there."""
    return all((folder / name).is_file() for name in (CONFIG, results))


def require_run_folder(folder: Path) -> None:
    """Refuse a folder that does not hold the results of a run.

    Raises:
        ConfigError: There is no run folder.
    """
    if not is_run_folder(folder):
        found = "a folder without them" if folder.is_dir() else "no such folder"
        raise no_run_folder(str(folder), found)


def no_run_folder(location: str, found: str) -> ConfigError:
    """Return the error for a place without the results of a run."""
    return ConfigError(
        f"{location}: expected a run folder with {CONFIG} and {METRICS}, as `glasses-spark "
        f"train` writes, found {found}"
    )


@contextmanager
def new_run_folder(folder: Path, *, results: str = METRICS) -> Iterator[Path]:
    """Make a run folder in one go.

    Args:
        folder: Where it is to lie; an earlier run folder there is replaced.
        results: Name of the file by which runs of the same kind are known.

    Yields:
        An empty folder beside it to write into. It takes the place of
        ``folder`` when the block ends well, and is removed when it does not.

    Raises:
        ConfigError: As for ``check_run_folder``, or the folder cannot be made.
    """
    check_run_folder(folder, results=results)
    folder = folder.absolute()
    mark = uuid.uuid4().hex[:8]
    # Beside it, thus on the same file system, where renaming is one step.
    fresh = folder.with_name(f".{folder.name}.{mark}.new")
    old = folder.with_name(f".{folder.name}.{mark}.old")
    try:
        fresh.mkdir(parents=True)
    except OSError as error:
        raise ConfigError(f"run.dir: cannot make {folder}: {error.strerror}") from error
    try:
        yield fresh
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    except BaseException:
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise
    finally:
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)


def write_json(path: Path, value: Any) -> None:
    """Write a value as JSON for people and programs; NaN and infinity are refused."""
    text = json.dumps(value, indent=2, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read what ``write_json`` has written into a run folder.

    Raises:
        ConfigError: The run folder lacks the file.
        DataError: The file is not JSON.
    """
    require_file(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(
            f"{path}: expected JSON as `glasses-spark train` writes, {error}"
        ) from error


def require_file(path: Path) -> None:
    """Refuse a run folder that lacks a file.

    Raises:
        ConfigError: There is no such file.
    """
    if not path.is_file():
        raise ConfigError(
            f"{path.parent}: expected {path.name} in this run folder, found none; the run was "
            "made by an earlier version, or the file was removed: train it again"
        )


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write rows of text under a header."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def write_parquet(path: Path, frame: DataFrame) -> None:
    """Write a frame to one Parquet file on the driver's machine.

    Row by row through the driver, so that it works where the executors do not
    see the driver's disk; one partition is held at a time.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyspark.sql.pandas.types import to_arrow_schema

    schema = to_arrow_schema(frame.schema)
    with pq.ParquetWriter(path, schema) as writer:
        for rows in _groups(row.asDict() for row in frame.toLocalIterator()):
            writer.write_table(pa.Table.from_pylist(rows, schema=schema))


def _groups(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    group: list[Mapping[str, Any]] = []
    for row in rows:
        group.append(row)
        if len(group) == _ROW_GROUP:
            yield group
            group = []
    if group:
        yield group
