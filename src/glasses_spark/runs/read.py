"""Reading of run folders, without Spark and without TensorFlow."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from glasses_spark.columns import ID, LABEL, PREDICTED_LABEL, SPLIT, TEST
from glasses_spark.config.toml_text import read_toml
from glasses_spark.errors import ConfigError, DataError
from glasses_spark.evaluation.compare import Rows, Run, Value
from glasses_spark.printable import printable
from glasses_spark.runs.figures import MAX_DEPTH, read_history, read_metrics
from glasses_spark.runs.folder import CONFIG, PREDICTIONS, require_file
from glasses_spark.runs.staging import require_results

_COLUMNS: Final = [ID, LABEL, SPLIT, PREDICTED_LABEL]

# Rows of a file in memory at once as Arrow, with their paths.
_BATCH_ROWS: Final = 65_536

# A file of a few kilobytes can hold billions of equal rows; these take 1.1 GB.
_MAX_ROWS: Final = 100_000_000


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """Read runs for a comparison.

    Keeps 11 bytes per image in memory.

    Args:
        folders: At least two run folders.

    Returns:
        The runs in the same order, named by the shortest path endings that distinguish them.

    Raises:
        ConfigError: There are fewer than two folders, a folder occurs twice, or is not a run
            folder, or lacks a file, or its configuration is not TOML.
        DataError: Another file cannot be read, or has other contents than `train` writes.
    """
    if len(folders) < 2:
        raise ConfigError(f"compare needs at least two run folders, got {len(folders)}")
    for folder in folders:
        require_results(folder)
    resolved = [folder.resolve() for folder in folders]
    for index, folder in enumerate(resolved):
        if folder in resolved[:index]:
            raise ConfigError(f"{folders[index]}: this run folder is given twice")
    names = _names([folder.absolute() for folder in folders])
    return [_read_run(folder, name) for folder, name in zip(folders, names, strict=True)]


def flatten(table: Mapping[str, Any]) -> dict[str, Any]:
    """Flatten nested tables; the names of the levels are joined by dots."""
    return dict(_flat_items("", table))


def read_config(folder: Path) -> dict[str, Any]:
    """Read the configuration of a run folder, with keys such as ``section.key``.

    Raises:
        ConfigError: The file cannot be read, or is not a configuration.
    """
    path = folder / CONFIG
    config = read_toml(path)
    if _is_deeper(config, MAX_DEPTH):
        raise ConfigError(f"{path} is not a configuration: nested too deeply")
    return flatten(config)


def _read_run(folder: Path, name: str) -> Run:
    metrics = read_metrics(folder)
    history = read_history(folder)
    return Run(
        name=printable(name),
        folder=printable(str(folder)),
        config={printable(key): _setting(value) for key, value in read_config(folder).items()},
        metrics={
            part: _with_intervals(table)
            for part, table in metrics.items()
            # Other tables hold image counts, timings and versions.
            if isinstance(table, dict) and "accuracy" in table
        },
        timings=metrics["timings"],
        environment={
            **{key: _setting(value) for key, value in flatten(metrics["environment"]).items()},
            # Missing in runs of early versions.
            "data digest": metrics["digests"].get("data"),
        },
        history=history,
        rows=_read_rows(folder / PREDICTIONS),
    )


def _read_rows(path: Path) -> Rows:
    # Imported here, because other functions of this module do not need Arrow.
    import pyarrow as pa
    import pyarrow.parquet as pq

    require_file(path)
    batches: list[tuple[np.ndarray[Any, Any], ...]] = []
    try:
        with pq.ParquetFile(path) as file:
            _require_columns(path, file)
            for batch in file.iter_batches(_BATCH_ROWS, columns=_COLUMNS):
                label, predicted = (_column(batch, name) for name in (LABEL, PREDICTED_LABEL))
                _require_classes(path, LABEL, label)
                _require_classes(path, PREDICTED_LABEL, predicted)
                in_test = _column(batch, SPLIT) == TEST
                ids = _column(batch, ID).astype(np.int64)
                batches.append((ids, label == 1.0, label == predicted, in_test))
    # Also what Arrow raises for names that are not UTF-8.
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path}: expected a Parquet file: {error}") from error
    if not batches:
        raise DataError(f"{path}: expected one row per image, found no rows")
    ids, with_glasses, correct, in_test = (
        np.concatenate(arrays) for arrays in zip(*batches, strict=True)
    )
    order = np.argsort(ids, kind="stable")
    if np.any(np.diff(ids[order]) == 0):
        raise DataError(f"{path}: expected one row per {ID}, found several")
    return Rows(ids[order], with_glasses[order], correct[order], in_test[order])


def _require_classes(path: Path, name: str, values: np.ndarray[Any, Any]) -> None:
    is_class = (values == 0) | (values == 1)
    if not is_class.all():
        raise DataError(
            f"{path}: expected 0.0 or 1.0 in the column {name!r}, found {values[~is_class][0]}. "
            "Restore the run folder, or train again"
        )


def _require_columns(path: Path, file: Any) -> None:
    """Refuse a file with columns of other types than `train` writes, or too many rows."""
    from pyarrow import types

    schema = file.schema_arrow
    missing = [name for name in _COLUMNS if name not in schema.names]
    if missing:
        raise DataError(f"{path}: expected the columns {_COLUMNS}, missing {missing}")
    kinds = {ID: types.is_integer, SPLIT: types.is_string}
    for name in _COLUMNS:
        found = schema.field(name).type
        if not kinds.get(name, types.is_floating)(found):
            raise DataError(f"{path}: expected the types that `train` writes, got {name}: {found}")
    if file.metadata.num_rows > _MAX_ROWS:
        raise DataError(
            f"{path}: expected at most {_MAX_ROWS:,} rows, found {file.metadata.num_rows:,}"
        )


def _column(batch: Any, name: str) -> np.ndarray[Any, Any]:
    column = batch.column(name)
    if column.null_count:
        raise DataError(f"{PREDICTIONS}: expected the {name} of each image, found null")
    numbers: np.ndarray[Any, Any] = column.to_numpy(zero_copy_only=False)
    return numbers


def _names(folders: Sequence[Path]) -> list[str]:
    """Return the shortest endings that distinguish the paths."""
    longest = max(len(folder.parts) for folder in folders)
    candidates = (
        ["/".join(folder.parts[-parts:]) for folder in folders] for parts in range(1, longest + 1)
    )
    return next(names for names in candidates if len(set(names)) == len(names))


def _with_intervals(table: Mapping[str, Any]) -> dict[str, float | str | None]:
    """Return the metrics by name, each followed by its 95 % interval if it has one."""
    intervals = table.get("intervals", {})
    metrics: dict[str, float | str | None] = {}
    for name, value in table.items():
        # Skips the nested table of intervals.
        if isinstance(value, int | float | None):
            metrics[name] = value
        if intervals.get(name):
            low, high = intervals[name]
            metrics[f"{name}, 95 %"] = f"{low:.4f}-{high:.4f}"
    return metrics


def _setting(value: Any) -> Value:
    """Return a value of TOML or JSON for a table: a number, or printable text."""
    if isinstance(value, list):
        return ", ".join(str(_setting(item)) for item in value)
    if isinstance(value, bool | int | None) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return printable(str(value))


def _is_deeper(value: Any, levels: int) -> bool:
    """Return whether tables and lists are nested in more than a number of levels."""
    if not isinstance(value, Mapping | list):
        return False
    inner = value.values() if isinstance(value, Mapping) else value
    return levels == 0 or any(_is_deeper(item, levels - 1) for item in inner)


def _flat_items(prefix: str, table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat_items(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", value
