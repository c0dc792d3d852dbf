"""Executors: what a Python worker of Spark may use, and how it is told."""

from __future__ import annotations

import os
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from glasses_spark.runtime.gpu import NO_DEVICE, RESOURCE, VISIBLE
from glasses_spark.runtime.python_workers.fork_server import (
    ADDRESS_VARIABLE,
    fork_server_address,
)

if TYPE_CHECKING:
    from pyspark import SparkContext

CPU_INFO: Final = Path("/proc/cpuinfo")
THREADS_VARIABLE: Final = "GLASSES_SPARK_THREADS"

# One context's variables are changed by one caller at a time.
_changing = threading.RLock()


def is_local(context: SparkContext) -> bool:
    """Whether the tasks run in the driver's own machine and JVM."""
    master = str(context.master)
    return master == "local" or master.startswith("local[")


def worker_threads(context: SparkContext, *, at_once: int) -> int:
    """Threads that a Python worker may compute on.

    Args:
        context: The running Spark.
        at_once: Workers that run at the same time, at least 1.

    Returns:
        On a cluster ``spark.task.cpus``; in local mode each worker's share of
        the cores that this process may use; at least 1.
    """
    if is_local(context):
        return max(1, len(os.sched_getaffinity(0)) // at_once)
    return max(1, int(context.getConf().get("spark.task.cpus") or 1))


@contextmanager
def worker_environment(context: SparkContext, *, threads: int) -> Iterator[None]:
    """Have Spark run the Python functions that are made inside with these settings.

    TensorFlow takes its threads and its devices once in a process, and Spark
    hands a process on to later tasks. It keeps apart the processes of
    functions with different variables, so no function meets a TensorFlow that
    was set up for another one.

    Args:
        context: The running Spark.
        threads: Threads that TensorFlow may use in such a process.
    """
    with _variables(context, training_variables(context, threads)):
        yield


def training_variables(context: SparkContext, threads: int) -> dict[str, str]:
    settings = {THREADS_VARIABLE: str(threads), "TF_CPP_MIN_LOG_LEVEL": "3"}
    if not context.getConf().get(f"spark.task.resource.{RESOURCE}.amount"):
        # A worker without a GPU of its own must not take one that it can see. With one, it
        # is told in the task which it is.
        settings[VISIBLE] = NO_DEVICE
    address = fork_server_address(context)
    return settings if address is None else settings | {ADDRESS_VARIABLE: address}


@contextmanager
def query_environment(context: SparkContext) -> Iterator[None]:
    """Have the functions of RDDs that are made inside run in the processes of queries.

    Args:
        context: The running Spark.
    """
    # Spark sets it for the functions of queries only, and so keeps their processes apart.
    with _variables(context, {"SPARK_SIMPLIFIED_TRACEBACK": "1"}):
        yield


@contextmanager
def _variables(context: SparkContext, settings: Mapping[str, str]) -> Iterator[None]:
    with _changing:
        kept = dict(context.environment)
        context.environment.update(settings)
        try:
            yield
        finally:
            context.environment.clear()
            context.environment.update(kept)


def threads_of_this_process() -> int | None:
    """The threads that `worker_environment` gave this process; None outside of one."""
    value = os.environ.get(THREADS_VARIABLE)
    return int(value) if value else None


def has_cpu_flag(wanted: Collection[str], cpu_info: Path = CPU_INFO) -> bool:
    """Whether this machine's processor has one of some sets of instructions.

    Args:
        wanted: As Linux names them.
        cpu_info: What Linux tells of the processor.

    Returns:
        False too where nothing is told.
    """
    try:
        lines = cpu_info.read_text(errors="replace").splitlines()
    except OSError:
        return False
    fields = (line.partition(":") for line in lines)
    return any(
        not set(wanted).isdisjoint(value.split())
        for name, _, value in fields
        if name.strip().lower() in ("flags", "features")
    )


def is_local_master(master: str | None) -> bool:
    return not master or master.startswith("local")
