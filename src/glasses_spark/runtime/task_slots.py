"""Task slots: how many tasks can run at the same time."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

from glasses_spark.errors import SetupError
from glasses_spark.runtime.workers import is_local_master

# pyspark is imported inside the functions: an external Spark, named by
# SPARK_HOME, brings its own, and findspark must come first.
if TYPE_CHECKING:
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

# Executors have this long to register before their task slots are counted.
REGISTRATION_SECONDS = 30.0

# Where nobody said how many executors there will be, a pause of this length after
# the last one means that all have come; those of one cluster start within a second or two.
SETTLE_SECONDS = 3.0


def task_slots(spark: SparkSession) -> int:
    """Count the tasks that can run at the same time: what ``num_workers="auto"`` means.

    It is Spark's own count, the one by which it accepts a barrier stage: over
    all executors that have registered, their cores divided by
    ``spark.task.cpus``; in local mode, the cores of the master. A cluster's
    executors register while the session is already in use, so this waits, up
    to half a minute, for the number that the settings ask for or, where they
    leave it to the cluster, until no more have come for three seconds.

    Args:
        spark: A running session.

    Returns:
        The number of slots, at least 1.

    Raises:
        SetupError: No executor came, or none has the cores for one task.
    """
    wanted = _wanted_slots(spark)
    deadline = time.monotonic() + REGISTRATION_SECONDS
    slots = _registered_slots(spark)
    while time.monotonic() < deadline and not _are_all_there(spark, slots, wanted):
        time.sleep(0.1)
        slots = _registered_slots(spark)
    if not slots:
        context = spark.sparkContext
        raise SetupError(
            f"No room for a task: found 0 task slots on {context.master} after "
            f"{REGISTRATION_SECONDS:.0f} s, with spark.task.cpus="
            f"{context.getConf().get('spark.task.cpus', '1')}; wanted at least 1. Check that the "
            "cluster has free executors, and that they have as many cores as a task asks for."
        )
    return slots


def _registered_slots(spark: SparkSession) -> int:
    # Not in Spark's Python interface. The alternatives are worse: defaultParallelism
    # is a setting, and the executors' cores are not told to the driver's Python.
    scala_context = spark.sparkContext._jsc.sc()
    profile = scala_context.resourceProfileManager().defaultResourceProfile()
    return int(scala_context.maxNumConcurrentTasks(profile))


def _are_all_there(spark: SparkSession, slots: int, wanted: int | None) -> bool:
    if wanted is None:
        return slots > 0 and _seconds_since_last_executor(spark) >= SETTLE_SECONDS
    return slots >= max(wanted, 1)


def _seconds_since_last_executor(spark: SparkSession) -> float:
    """Tell by Spark's own record how long no executor has come.

    Not by watching from now on: this is asked several times in a run, and executors
    that came long ago need no waiting for.
    """
    scala_context = spark.sparkContext._jsc.sc()
    executors = scala_context.statusStore().executorList(True)
    added = [
        executor.addTime().getTime() / 1000
        for executor in map(executors.apply, range(executors.size()))
        if executor.id() != "driver"
    ]
    return time.time() - max(added) if added else 0.0


def _wanted_slots(spark: SparkSession) -> int | None:
    """Say how many slots the settings ask for, or None where they leave it to the cluster."""
    conf = spark.sparkContext.getConf()
    master = str(spark.sparkContext.master)
    if shape := re.fullmatch(r"local-cluster\[\s*(\d+)\s*,\s*(\d+)\s*,.*\]", master):
        return int(shape[1]) * _tasks_of_executor(conf, cores=int(shape[2]))
    if is_local_master(master):
        # The driver is the executor, and has registered. None would be no room.
        return _registered_slots(spark)
    if conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        return None
    instances, cores = conf.get("spark.executor.instances"), conf.get("spark.executor.cores")
    if master.startswith(("yarn", "k8s")):
        # Their defaults. A standalone master has none: it gives all that is free.
        instances, cores = instances or "2", cores or "1"
    if instances is None or cores is None:
        return None
    return int(instances) * _tasks_of_executor(conf, cores=int(cores))


def _tasks_of_executor(conf: SparkConf, *, cores: int) -> int:
    """How many tasks run at once in an executor of so many cores, and of the GPUs it asks for."""
    tasks = cores // int(conf.get("spark.task.cpus", "1") or 1)
    gpus, share = (conf.get(f"spark.{of}.resource.gpu.amount") for of in ("executor", "task"))
    # A task may ask for half a GPU.
    return min(tasks, int(int(gpus) / float(share))) if gpus and share else tasks
