"""One file: an HDF5 file that refers to no other one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from glasses_spark.errors import GlassesSparkError, ScoringError


@contextmanager
def open_h5(path: str | Path, kind: type[GlassesSparkError] = ScoringError) -> Iterator[Any]:
    """Open an HDF5 file, which may come from a stranger, for reading.

    Args:
        path: The file.
        kind: Class of the error.

    Raises:
        GlassesSparkError: It refers to another file, whose contents HDF5 would read as if they
            were its own.
    """
    with h5py.File(path, mode="r") as file:
        for name in _outside(file, set()):
            raise kind(
                f"{path}: expected a model in one file, found {name} in another file. Save the "
                "model again"
            )
        yield file


def _outside(group: Any, seen: set[Any]) -> Iterator[str]:
    """Yield the names of what is in other files."""
    if group.id in seen:  # a hard link can lead back
        return
    seen.add(group.id)
    for name in group:
        if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
            yield f"{group.name}/{name}"
            continue
        item = group.get(name)
        if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
            yield str(item.name)
        elif isinstance(item, h5py.Group):
            yield from _outside(item, seen)
