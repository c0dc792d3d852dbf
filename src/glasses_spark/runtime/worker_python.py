"""Worker Python: the Python of the executors, checked before a fit reads any row."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from glasses_spark.errors import SetupError
from glasses_spark.runtime.connect import is_connect
from glasses_spark.runtime.master import is_local
from glasses_spark.runtime.spark_errors import spark_errors
from glasses_spark.runtime.workers import query_environment, worker_environment, worker_threads

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

# Packages that training workers import.
_NEEDED: Final = ("grpc", "keras", "numpy", "pandas", "pyarrow", "tensorflow")

# The Pythons that were checked.
_checked: weakref.WeakKeyDictionary[SparkContext, str] = weakref.WeakKeyDictionary()


def require_worker_python(spark: SparkSession, *, slots: int) -> None:
    """Refuse executors whose Python cannot train, once for each Spark.

    In local mode the workers have the driver's Python, see ``workers.driver_python``.

    Args:
        spark: The running session.
        slots: Its task slots; one task is run for each.

    Raises:
        SetupError: The Python does not start, has another version than the driver's, or lacks
            this package or another one that workers import.
    """
    if is_connect(spark):
        return  # the server's Python is seen only by its tasks
    context = spark.sparkContext
    if is_local(context) or _checked.get(context) == context.pythonExec:
        return
    # In processes that the tasks of the fit use again.
    threads = worker_threads(context, at_once=slots)
    with (
        spark_errors(SetupError, "the check of the workers' Python", "Set PYSPARK_PYTHON"),
        worker_environment(context, threads=threads),
        query_environment(context),
    ):
        found = context.parallelize(range(slots), slots).mapPartitions(_lacking).collect()
    for executable, lacking in found:
        if lacking:
            raise SetupError(
                f"the Python of Spark's workers, {executable}, lacks {', '.join(lacking)}. Install "
                "glasses_spark there with pip, or set PYSPARK_PYTHON to a Python that has it, "
                "before the session starts"
            )
    _checked[context] = context.pythonExec


def _lacking(_: Iterable[int]) -> Iterator[tuple[str, list[str]]]:
    """Return this process's Python, and the packages that it lacks."""
    yield sys.executable, [name for name in _NEEDED if find_spec(name) is None]
