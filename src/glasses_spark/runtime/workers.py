"""Worker environment: the threads and environment variables of Spark's Python workers."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from glasses_spark.runtime import native_stderr
from glasses_spark.runtime.connect import is_connect
from glasses_spark.runtime.gpu import NO_DEVICE, RESOURCE, VISIBLE
from glasses_spark.runtime.machine import count_cores
from glasses_spark.runtime.master import is_local
from glasses_spark.runtime.python_workers.fork_server import (
    ADDRESS_VARIABLE,
    fork_server_address,
)
from glasses_spark.runtime.task_slots import task_cpus

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

THREADS_VARIABLE: Final = "GLASSES_SPARK_THREADS"

# One thread at a time changes the variables of a context.
_changing = threading.RLock()


def worker_threads(context: SparkContext, *, at_once: int) -> int:
    """Return the number of threads that a Python worker may compute on.

    Args:
        context: The running Spark.
        at_once: Number of workers that run at the same time, at least 1.

    Returns:
        On a cluster ``spark.task.cpus``; in local mode the worker's share of the cores that
        this process may use; at least 1.
    """
    if is_local(context):
        return max(1, count_cores() // at_once)
    return task_cpus(context.getConf().get)


@contextmanager
def worker_environment(context: SparkContext, *, threads: int) -> Iterator[None]:
    """Run the Python functions that the block creates in workers that may compute.

    TensorFlow fixes its threads and devices once in a process, and Spark reuses a process
    for later tasks. Spark keeps the processes of functions with different environment
    variables apart, so that no function runs in a process with another setup.

    Args:
        context: The running Spark.
        threads: Number of threads that TensorFlow may use in such a process.
    """
    with _variables(context, training_variables(context, threads)):
        yield


def training_variables(context: SparkContext, threads: int) -> dict[str, str]:
    """Return the environment variables of workers that train or score.

    Args:
        context: The running Spark.
        threads: As for ``worker_environment``.
    """
    # Not at the top: a daemon imports this module before it drops Spark's archives from its
    # path, and dataclasses, which that module needs, imports `copy`, which searches them all.
    from glasses_spark.runtime.keras_settings import BACKEND_VARIABLE, TENSORFLOW

    settings = {
        THREADS_VARIABLE: str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        # Whatever the machine of the worker has in its keras.json.
        BACKEND_VARIABLE: TENSORFLOW,
        # A Python worker is a process of this package. The user's own value wins.
        native_stderr.VARIABLE: os.environ.get(native_stderr.VARIABLE, "0"),
    }
    if not context.getConf().get(f"spark.task.resource.{RESOURCE}.amount"):
        # A worker must not take a GPU that Spark did not grant to it. A granted GPU is
        # set within the task.
        settings[VISIBLE] = NO_DEVICE
    address = fork_server_address(context)
    return settings if address is None else settings | {ADDRESS_VARIABLE: address}


@contextmanager
def query_environment(context: SparkContext) -> Iterator[None]:
    """Run the RDD functions that the block creates in the same processes as those of queries.

    Args:
        context: The running Spark.
    """
    # Spark sets this variable for functions of queries only, and so keeps their processes
    # apart from those of RDDs.
    with _variables(context, {"SPARK_SIMPLIFIED_TRACEBACK": "1"}):
        yield


@contextmanager
def _variables(context: SparkContext, settings: Mapping[str, str]) -> Iterator[None]:
    with _driver_python(context):
        before = dict(context.environment)
        context.environment.update(settings)
        try:
            yield
        finally:
            context.environment.clear()
            context.environment.update(before)


@contextmanager
def driver_python(spark: SparkSession) -> Iterator[None]:
    """Run the Python functions that the block creates with the driver's Python, in local mode.

    Spark's own choice is ``PYSPARK_PYTHON``, else the first ``python3`` on ``PATH``, which may be
    another one without this package. Executors on other machines have their own paths.

    Args:
        spark: The running session. One of Spark Connect keeps the Python of its server.
    """
    if is_connect(spark):
        yield
        return
    with _driver_python(spark.sparkContext):
        yield


@contextmanager
def _driver_python(context: SparkContext) -> Iterator[None]:
    with _changing:
        before = context.pythonExec
        if is_local(context) and sys.executable:
            context.pythonExec = sys.executable
        try:
            yield
        finally:
            context.pythonExec = before


def threads_of_this_process() -> int | None:
    """Return the threads that `worker_environment` gave this process; None outside a worker."""
    value = os.environ.get(THREADS_VARIABLE)
    return int(value) if value else None
