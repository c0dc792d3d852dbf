"""Task slots: how many tasks can run at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

from glasses_spark.errors import SetupError
from glasses_spark.runtime.connect import default_parallelism, is_connect
from glasses_spark.runtime.gpu import RESOURCE
from glasses_spark.runtime.master import LOCAL, LOCAL_CLUSTER, is_local

# pyspark is imported inside the functions: an external Spark, named by
# SPARK_HOME, brings its own, and findspark must come first.
if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Executors have this long to register before their task slots are counted.
REGISTRATION_SECONDS: Final = 30.0

# Where the settings leave the number of executors open, a pause of this length after the
# last one means that all have registered: those of one cluster start within 1 to 2 s.
SETTLE_SECONDS: Final = 3.0

# What YARN and Kubernetes start without other settings. A standalone master has no
# defaults: it gives an application all free cores.
_CLUSTER_DEFAULTS: Final = {"spark.executor.instances": "2", "spark.executor.cores": "1"}


def slots_in_settings(master: str, conf: Mapping[str, str], *, cores: int) -> int | None:
    """Count the task slots that a master and Spark's settings promise, without starting Spark.

    Args:
        master: Value of ``spark.master``.
        conf: Settings of Spark by their full names.
        cores: Cores of this machine, for ``local[*]``.

    Returns:
        The number of tasks that run at the same time, 0 where no executor has room for
        one; None where only the running cluster knows.
    """
    if local := LOCAL.fullmatch(master):
        wanted = local[1] or "1"
        return (cores if wanted == "*" else int(wanted)) // task_cpus(conf.get)
    if cluster := LOCAL_CLUSTER.fullmatch(master):
        return int(cluster[1]) * _slots_of_executor(conf, cores=int(cluster[2]))
    if conf.get("spark.dynamicAllocation.enabled", "false").lower() == "true":
        return None
    executors, executor_cores = (conf.get(key) for key in _CLUSTER_DEFAULTS)
    if not executors or not executor_cores:
        return None
    return int(executors) * _slots_of_executor(conf, cores=int(executor_cores))


def task_cpus(conf: Callable[[str], str | None]) -> int:
    """Return the cores that a task takes, ``spark.task.cpus``; at least 1.

    Args:
        conf: Returns a Spark setting by its name, or None.
    """
    return max(1, int(conf("spark.task.cpus") or 1))


def count_workers(num_workers: int | str, *, slots: int) -> int:
    """Return the number of workers that ``training.num_workers`` means.

    Args:
        num_workers: A number, or "auto": a worker for each slot.
        slots: Task slots.
    """
    # Imported here, because Python workers import this module and need no configuration.
    from glasses_spark.config.fields import AUTO

    return slots if num_workers == AUTO else int(num_workers)


def task_slots(spark: SparkSession) -> int:
    """Count the tasks that can run at the same time: what ``num_workers="auto"`` means.

    This is Spark's own count, by which it accepts a barrier stage: over all registered
    executors, their cores divided by ``spark.task.cpus`` and their GPUs by the share of a
    task; in local mode, the cores of the master. The executors of a cluster register while
    the session is already in use. So this function waits, up to 30 s, for the number that
    the settings promise or, where they leave it open, until no executor has registered for
    3 s.

    Args:
        spark: A running session.

    Returns:
        The number of slots, at least 1.

    Raises:
        SetupError: No executor registered, or none has the cores for one task.
    """
    if is_connect(spark):
        # The executors are known to the server alone. This is their number of cores, unless
        # spark.default.parallelism says something else.
        return max(
            1, default_parallelism(spark) // task_cpus(lambda key: spark.conf.get(key, None))
        )
    context = spark.sparkContext
    slots = registered_slots(spark)
    # In local mode the driver is the executor: it has registered.
    if not is_local(context):
        slots = _wait_for_executors(spark, slots)
    if not slots:
        waited = "" if is_local(context) else f" after {REGISTRATION_SECONDS:.0f} s"
        cpus = task_cpus(context.getConf().get)
        raise SetupError(
            f"Spark has no room for a task: found 0 task slots on {context.master}{waited} with "
            f"spark.task.cpus={cpus}, needs at least 1. Check that the cluster has free "
            "executors, and that each has as many cores as a task needs"
        )
    return slots


def _wait_for_executors(spark: SparkSession, slots: int) -> int:
    promised = _promised_slots(spark)
    deadline = time.monotonic() + REGISTRATION_SECONDS
    while time.monotonic() < deadline and not _all_registered(spark, slots, promised):
        time.sleep(0.1)
        slots = registered_slots(spark)
    return slots


def _promised_slots(spark: SparkSession) -> int | None:
    context = spark.sparkContext
    conf, master = dict(context.getConf().getAll()), str(context.master)
    if master.startswith(("yarn", "k8s")):
        conf = _CLUSTER_DEFAULTS | conf
    return slots_in_settings(master, conf, cores=1)


def _all_registered(spark: SparkSession, slots: int, promised: int | None) -> bool:
    if promised is None:
        return slots > 0 and _seconds_since_last_executor(spark) >= SETTLE_SECONDS
    return slots >= max(promised, 1)


def registered_slots(spark: SparkSession) -> int:
    """Count the task slots of the executors that are registered now; 0 if there is none."""
    # Not in Spark's Python interface. defaultParallelism is only a setting, and Spark does
    # not tell the driver's Python the cores of the executors.
    scala_context = spark.sparkContext._jsc.sc()
    profile = scala_context.resourceProfileManager().defaultResourceProfile()
    return int(scala_context.maxNumConcurrentTasks(profile))


def _seconds_since_last_executor(spark: SparkSession) -> float:
    """Return the time since the last executor registered, by Spark's own record.

    A run asks for its slots several times. With the record, only the first question waits.
    """
    scala_context = spark.sparkContext._jsc.sc()
    executors = scala_context.statusStore().executorList(True)
    added = [
        executor.addTime().getTime() / 1000
        for executor in map(executors.apply, range(executors.size()))
        if executor.id() != "driver"
    ]
    return time.time() - max(added) if added else 0.0


def _slots_of_executor(conf: Mapping[str, str], *, cores: int) -> int:
    """Count the tasks that run at once in one executor, by its cores and its GPUs."""
    slots = cores // task_cpus(conf.get)
    gpus = conf.get(f"spark.executor.resource.{RESOURCE}.amount")
    share = conf.get(f"spark.task.resource.{RESOURCE}.amount")
    # A task may ask for a part of a GPU, such as 0.5.
    return min(slots, int(int(gpus) / float(share))) if gpus and share else slots
