"""Run folder: the results of one run, written atomically."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from glasses_spark.errors import ConfigError, DataError
from glasses_spark.printable import csv_cell
from glasses_spark.runs.target import locate
from glasses_spark.runtime.location import local_folder
from glasses_spark.scoring.model_metadata import ONNX_FILE

# pyspark is not imported here, because the folder is checked before Spark starts.
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
MODEL_CARD: Final = "MODEL_CARD.md"
PLOTS: Final = "plots"
MODEL: Final = "model"
KERAS_MODEL: Final = "model.keras"
ONNX_MODEL: Final = ONNX_FILE
TENSORBOARD: Final = "tensorboard"
# Of the training that will replace the results, if there are any.
CHECKPOINT: Final = "checkpoint"

# In the top folder of a new disk.
_OF_FILE_SYSTEM: Final = "lost+found"

# Names that a new run replaces. Other files in a run folder are the user's.
OURS: Final = frozenset(
    {
        *(CONFIG, METRICS, CURVES, HISTORY, PREDICTIONS, QUARANTINE, DUPLICATES, REPORT, PLOTS),
        *(MODEL_CARD, MODEL, KERAS_MODEL, ONNX_MODEL, TENSORBOARD, CHECKPOINT),
        *(CROSS_VALIDATION, OUT_OF_FOLD, LABEL_DOUBT, CROSS_VALIDATION_PAGE),
    }
)

# Of a JSON file of a run folder. A history has about 100 bytes for each worker and epoch.
MAX_JSON_BYTES: Final = 64 * 2**20

# Rows in the driver at once while it writes a Parquet file.
_ROW_GROUP: Final = 10_000

# An estimate: 250 bytes a row in the driver.
_COLLECTED_ROWS: Final = 200_000


def cross_validation_folder(run_dir: str) -> Path:
    """Return the default folder of a cross-validation: ``run.dir`` with a suffix.

    Raises:
        ConfigError: ``run.dir`` is not on this machine.
    """
    folder = local_folder(run_dir)
    if folder is None:
        raise ConfigError(
            "a cross-validation needs a folder on this machine for its results, got "
            f"run.dir = {run_dir}. Pass one with --out (in Python: out=)"
        )
    return folder.with_name(f"{folder.name}-cross-validation")


def check_run_folder(folder: Path, *, results: str = METRICS) -> None:
    """Check that the results of a run may be written to a folder.

    Args:
        folder: A missing folder, an empty one, or the run folder of an earlier run.
        results: Name of the file that identifies runs of the same kind.

    Raises:
        ConfigError: It is a file, or a folder with other contents.
    """
    if not folder.exists():
        return
    names = None
    if folder.is_dir():
        target = locate(folder)
        try:
            names = {name for name in os.listdir(folder) if not target.is_staging(name)}
        except OSError as error:
            raise ConfigError(
                f"run.dir: {folder} cannot be read: {error.strerror}. Change the permissions, or "
                "use another folder"
            ) from error
    check_contents(str(folder), names, results=results)


def check_contents(location: str, names: Collection[str] | None, *, results: str = METRICS) -> None:
    """Check that a run may replace what exists at a location.

    Args:
        location: The location, for the message.
        names: Names of the contents of a folder; None for a file.
        results: As for ``check_run_folder``.

    Raises:
        ConfigError: It is a file, or a folder with other contents than a run and checkpoints.
    """
    if names is None:
        raise ConfigError(f"run.dir: expected a folder for the results, but {location} is a file")
    if set(names) - {CHECKPOINT, _OF_FILE_SYSTEM} and not {CONFIG, results} <= set(names):
        raise ConfigError(
            f"run.dir: {location} is not empty and not a run folder (it has no {CONFIG} and "
            f"{results}), so it is not replaced. Use another folder"
        )


def is_run_folder(folder: Path, *, results: str = METRICS) -> bool:
    """Return whether a folder holds the results of a run."""
    return all((folder / name).is_file() for name in (CONFIG, results))


def require_run_folder(folder: Path) -> None:
    """Check that a folder holds the results of a run.

    Raises:
        ConfigError: It is not a run folder.
    """
    if not is_run_folder(folder):
        raise not_a_run_folder(str(folder), exists=folder.is_dir())


def not_a_run_folder(location: str, *, exists: bool) -> ConfigError:
    """Return the error for a location that is not a run folder."""
    actual = "a folder without these files" if exists else "no such folder"
    return ConfigError(
        f"{location}: expected a run folder with {CONFIG} and {METRICS}, as written by "
        f"`glasses-spark train`, found {actual}"
    )


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON; NaN and infinity are a ValueError."""
    text = json.dumps(value, indent=2, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read a JSON file of a run folder.

    Raises:
        ConfigError: The run folder does not have the file.
        DataError: The file cannot be read, is too large or is not valid JSON.
    """
    require_file(path)
    wanted = f"{path}: expected JSON as written by `glasses-spark train`"
    try:
        size = path.stat().st_size
        if size > MAX_JSON_BYTES:
            raise DataError(f"{wanted}, at most {MAX_JSON_BYTES:,} bytes, found {size:,}")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except RecursionError:
        raise DataError(f"{wanted}: nested too deeply") from None
    except ValueError as error:
        raise DataError(f"{wanted}: {error}") from error


def require_file(path: Path) -> None:
    """Check that a run folder has a file.

    Raises:
        ConfigError: The file is missing.
    """
    if not path.is_file():
        raise ConfigError(
            f"{path.parent}: this run folder has no {path.name}, because it was written by an "
            "earlier version or the file was deleted. Train the model again"
        )


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write rows of strings below a header; see ``csv_cell``."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows([csv_cell(text) for text in row] for row in rows)


def write_parquet(path: Path, frame: DataFrame, *, order: str, rows: int) -> None:
    """Write a frame to one Parquet file on the driver's machine.

    The rows pass through the driver, because executors may have no access to the driver's disk:
    up to 200,000 at once, in one Spark job, more of them one partition at a time.

    Args:
        path: The new file.
        frame: The rows.
        order: Column of integers by which the file is sorted.
        rows: Number of rows, or an estimate of it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyspark.sql.pandas.types import to_arrow_schema

    schema = to_arrow_schema(frame.schema)
    with pq.ParquetWriter(path, schema) as writer:
        if rows <= _COLLECTED_ROWS:
            writer.write_table(frame.toArrow().sort_by(order).cast(schema), _ROW_GROUP)
            return
        ordered = frame.orderBy(order).toLocalIterator()
        for group in _row_groups(row.asDict() for row in ordered):
            writer.write_table(pa.Table.from_pylist(group, schema=schema))


def _row_groups(rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    group: list[Mapping[str, Any]] = []
    for row in rows:
        group.append(row)
        if len(group) == _ROW_GROUP:
            yield group
            group = []
    if group:
        yield group
