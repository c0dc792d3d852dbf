"""Errors of a damaged pixel store, with the file and what to do."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from glasses_spark.errors import DataError
from glasses_spark.pipeline.pixels import open_store

P = ParamSpec("P")
R = TypeVar("R")
Method = Callable[Concatenate[Any, Any, P], R]


def names_damage(method: Method[P, R]) -> Method[P, R]:
    """Let a stage of the pipeline name the file of the pixel store that made it fail.

    The segment of the file is no longer valid afterwards, so the next run decodes its images
    again.

    Args:
        method: Method of a pipeline whose first argument is a session or a dataset.
    """

    @wraps(method)
    def wrapped(self: Any, data: Any, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, data, *args, **kwargs)
        except Exception as error:
            spark = data.labels.sparkSession if hasattr(data, "labels") else data
            file = _damaged_file(spark, self.config, error)
            if file is None:
                raise
            raise DataError(
                f"{file}: this part of the pixel store is damaged. Run again: its images are "
                "decoded again. `glasses-spark prepare --verify` checks all parts"
            ) from error

    return wrapped


def _damaged_file(spark: Any, config: Any, error: Exception) -> str | None:
    try:
        store = open_store(spark, config)
        return None if store is None else store.invalidate_damaged(error)
    except Exception:  # Spark has ended, for example: its error is the one to show
        return None
