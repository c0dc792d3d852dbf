"""Saved run: what a run folder holds, read without Spark and without TensorFlow."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from glasses_spark.columns import ID, LABEL, PREDICTED_LABEL, SPLIT
from glasses_spark.errors import ConfigError, DataError
from glasses_spark.evaluation.compare import TEST, Rows, Run
from glasses_spark.runs import folder as run_folder

_COLUMNS: Final = [ID, LABEL, SPLIT, PREDICTED_LABEL]

# Rows of a file that are held as Arrow, with their texts, at once.
_BATCH_ROWS: Final = 65_536


def read_runs(folders: Sequence[Path]) -> list[Run]:
    """Read runs that are to be compared.

    Of each row only 11 bytes are kept, so that runs over millions of images fit.

    Args:
        folders: Run folders that ``glasses-spark train`` wrote, at least two.

    Returns:
        The runs in this order, named by as much of the end of their paths as tells them
        apart.

    Raises:
        ConfigError: There are fewer than two, one is named twice, or one is not a run folder
            or lacks a file.
        DataError: A file cannot be read.
    """
    if len(folders) < 2:
        raise ConfigError(f"expected two run folders or more to compare, got {len(folders)}")
    for folder in folders:
        run_folder.require_run_folder(folder)
    resolved = [folder.resolve() for folder in folders]
    for place, folder in enumerate(resolved):
        if folder in resolved[:place]:
            raise ConfigError(
                f"{folders[place]}: expected each run folder once, got it twice; name another one"
            )
    names = _names([folder.absolute() for folder in folders])
    return [_read_run(folder, name) for folder, name in zip(folders, names, strict=True)]


def flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested tables as one, with the names of the levels joined by dots."""
    return dict(_flattened("", table))


def _read_run(folder: Path, name: str) -> Run:
    metrics = run_folder.read_json(folder / run_folder.METRICS)
    history = run_folder.read_json(folder / run_folder.HISTORY)
    try:
        config = tomllib.loads((folder / run_folder.CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{folder / run_folder.CONFIG} is not a TOML file: {error}") from error
    return Run(
        name=name,
        folder=str(folder),
        config={key: _listed(value) for key, value in flat(config).items()},
        metrics={
            part: _with_intervals(table)
            for part, table in metrics.items()
            # A part of the rows: other tables are about images, seconds, versions.
            if isinstance(table, dict) and "accuracy" in table
        },
        timings=metrics.get("timings", {}),
        environment={
            **flat(metrics.get("environment", {})),
            # Of pixels and labels; runs of earlier versions have none.
            "data digest": metrics.get("digests", {}).get("data"),
        },
        history=history,
        rows=_read_rows(folder / run_folder.PREDICTIONS),
    )


def _read_rows(path: Path) -> Rows:
    # Imported here: other readers of this module's names do without.
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    run_folder.require_file(path)
    batches: list[tuple[np.ndarray[Any, Any], ...]] = []
    try:
        with pq.ParquetFile(path) as file:
            missing = [name for name in _COLUMNS if name not in file.schema_arrow.names]
            if missing:
                raise DataError(f"{path}: expected the columns {_COLUMNS}, found no {missing}")
            for batch in file.iter_batches(_BATCH_ROWS, columns=_COLUMNS):
                label, predicted = (_column(batch, name) for name in (LABEL, PREDICTED_LABEL))
                in_test = pc.equal(batch.column(SPLIT), TEST).to_numpy(zero_copy_only=False)
                ids = _column(batch, ID).astype(np.int64)
                batches.append((ids, label == 1.0, label == predicted, in_test))
    except pa.ArrowException as error:
        raise DataError(f"{path}: expected a Parquet file, {error}") from error
    if not batches:
        raise DataError(f"{path}: expected a row for each image, found none")
    ids, with_glasses, right, in_test = (
        np.concatenate(arrays) for arrays in zip(*batches, strict=True)
    )
    order = np.argsort(ids, kind="stable")
    if np.any(np.diff(ids[order]) == 0):
        raise DataError(f"{path}: expected one row for each {ID}, found several")
    return Rows(ids[order], with_glasses[order], right[order], in_test[order])


def _column(batch: Any, name: str) -> np.ndarray[Any, Any]:
    column: np.ndarray[Any, Any] = batch.column(name).to_numpy(zero_copy_only=False)
    return column


def _names(folders: Sequence[Path]) -> list[str]:
    """Return the shortest ends of different paths that tell them apart."""
    longest = max(len(folder.parts) for folder in folders)
    ends = (
        ["/".join(folder.parts[-parts:]) for folder in folders] for parts in range(1, longest + 1)
    )
    return next(names for names in ends if len(set(names)) == len(names))


def _with_intervals(table: Mapping[str, Any]) -> dict[str, float | str | None]:
    """Return numbers by name, each followed by its 95 % interval where it has one."""
    intervals = table.get("intervals", {})
    found: dict[str, float | str | None] = {}
    for name, value in table.items():
        # Other tables within have no place on a line.
        if isinstance(value, int | float | None):
            found[name] = value
        if intervals.get(name):
            low, high = intervals[name]
            found[f"{name}, 95 %"] = f"{low:.4f}-{high:.4f}"
    return found


def _listed(value: Any) -> Any:
    return ", ".join(str(one) for one in value) if isinstance(value, list) else value


def _flattened(prefix: str, table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        if isinstance(value, Mapping):
            yield from _flattened(f"{prefix}{name}.", value)
        else:
            yield f"{prefix}{name}", value
