"""Artifacts folder: Spark 4.0 leaves an empty folder ``artifacts`` in the current folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_NAME: Final = "artifacts"


@contextmanager
def without_artifacts_folder() -> Iterator[None]:
    """Remove what Spark adds to the folder ``artifacts`` in the block, as far as it is empty."""
    try:
        folder = Path.cwd() / _NAME
    except OSError:  # the current folder was removed
        yield
        return
    is_new = not folder.exists()
    earlier = set(folder.glob("spark-*"))
    try:
        yield
    finally:
        for path in [*(set(folder.glob("spark-*")) - earlier), *([folder] if is_new else [])]:
            # Only an empty folder: sessions of Spark Connect keep files there.
            with suppress(OSError):
                path.rmdir()
