"""Figures of a run folder: ``metrics.json`` and ``history.json``, checked when they are read.

A run folder may come from a stranger. What does not have the form that ``train`` writes is
refused, with the place, before anything computes with it.
"""

from __future__ import annotations

import math
import reprlib
from pathlib import Path
from typing import Any, Final, NoReturn

from glasses_spark.errors import DataError
from glasses_spark.printable import printable
from glasses_spark.runs.folder import HISTORY, METRICS, read_json

# Of tables in tables; ``train`` writes three.
MAX_DEPTH: Final = 10

# In one table: a metric may have a value for each class.
MAX_NAMES: Final = 10_000

# As in Parquet and Spark.
_LARGEST_INTEGER: Final = 2**63

# Models compute in float32, which ends here; squares of such numbers do not overflow.
_LARGEST_NUMBER: Final = 3.4e38

_WANTED: Final = "expected what `glasses-spark train` writes"


def read_metrics(folder: Path) -> dict[str, Any]:
    """Read ``metrics.json`` of a run folder.

    Returns:
        Tables by name. Numbers are finite, ``timings`` has numbers only, each of ``intervals``
        of a part is None or a pair of numbers, and ``digests`` has strings only.

    Raises:
        ConfigError: The run folder does not have the file.
        DataError: The file is too large, is not JSON or has another form.
    """
    path = folder / METRICS
    metrics = _read(path)
    if not isinstance(metrics, dict):
        _refuse(path, "", "a table", metrics)
    for name in ("timings", "environment", "digests"):
        if not isinstance(metrics.setdefault(name, {}), dict):
            _refuse(path, name, "a table", metrics[name])
    for name, value in metrics["timings"].items():
        if not _is_number(value):
            _refuse(path, f"timings.{name}", "a number", value)
    for name, value in metrics["digests"].items():
        if not isinstance(value, str):
            _refuse(path, f"digests.{name}", "a string", value)
    for part, table in metrics.items():
        if isinstance(table, dict):
            _check_intervals(path, part, table.get("intervals", {}))
    return metrics


def read_history(folder: Path) -> list[dict[str, Any]]:
    """Read ``history.json`` of a run folder.

    Returns:
        One record for each epoch: ``epoch`` (from 1), ``workers``, a list of tables of numbers,
        and finite numbers by name. Metrics without a value are left out.

    Raises:
        ConfigError: The run folder does not have the file.
        DataError: The file is too large, is not JSON or has another form.
    """
    path = folder / HISTORY
    history = _read(path)
    if not isinstance(history, list):
        _refuse(path, "", "a list of epochs", history)
    return [_record(path, f"[{index}]", record) for index, record in enumerate(history)]


def _record(path: Path, place: str, record: Any) -> dict[str, Any]:
    if not isinstance(record, dict):
        _refuse(path, place, "a table", record)
    epoch, workers = record.get("epoch"), record.get("workers", [])
    if type(epoch) is not int or epoch < 1:
        _refuse(path, f"{place}.epoch", "a whole number from 1", epoch)
    if not isinstance(workers, list) or not all(isinstance(share, dict) for share in workers):
        _refuse(path, f"{place}.workers", "a list of tables", workers)
    for number, share in enumerate(workers):
        for name, value in share.items():
            if not _is_number(value):
                _refuse(path, f"{place}.workers[{number}].{name}", "a number", value)
        if type(share.get("worker")) is not int:
            _refuse(path, f"{place}.workers[{number}].worker", "a whole number", share)
    for name, value in record.items():
        if name != "workers" and value is not None and not _is_number(value):
            _refuse(path, f"{place}.{name}", "a number", value)
    return {name: value for name, value in record.items() if value is not None}


def _check_intervals(path: Path, part: str, intervals: Any) -> None:
    if not isinstance(intervals, dict):
        _refuse(path, f"{part}.intervals", "a table", intervals)
    for name, ends in intervals.items():
        is_pair = isinstance(ends, list) and len(ends) == 2 and all(map(_is_number, ends))
        if ends is not None and not is_pair:
            _refuse(path, f"{part}.intervals.{name}", "a pair of numbers", ends)


def _read(path: Path) -> Any:
    return _plain(path, "", read_json(path), MAX_DEPTH)


def _plain(path: Path, place: str, value: Any, depth: int) -> Any:
    """Return a value of JSON with printable strings; refuse what no computation expects."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict | list):
        if depth == 0:
            _refuse(path, place, f"at most {MAX_DEPTH} levels", value)
        if isinstance(value, list):
            return [
                _plain(path, f"{place}[{index}]", item, depth - 1)
                for index, item in enumerate(value)
            ]
        if len(value) > MAX_NAMES:
            raise DataError(
                f"{path}: {_WANTED}, at most {MAX_NAMES:,} names in a table, found {len(value):,}"
            )
        return {
            printable(name): _plain(path, f"{place}.{name}".lstrip("."), item, depth - 1)
            for name, item in value.items()
        }
    if isinstance(value, float) and not math.isfinite(value):
        _refuse(path, place, "a finite number", value)
    if isinstance(value, float) and abs(value) > _LARGEST_NUMBER:
        _refuse(path, place, f"a number up to {_LARGEST_NUMBER:.0e}", value)
    if isinstance(value, int) and abs(value) >= _LARGEST_INTEGER:
        _refuse(path, place, f"a number below {_LARGEST_INTEGER:,}", value)
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _refuse(path: Path, place: str, wanted: str, found: Any) -> NoReturn:
    shown = printable(reprlib.repr(found))
    where = f"{printable(place)}: " if place else ""
    raise DataError(f"{path}: {_WANTED}: {where}expected {wanted}, got {shown}")
