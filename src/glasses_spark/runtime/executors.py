"""Executors: wait for the first one of a cluster, and say what is asked for meanwhile.

Spark itself waits for ever for executors that no worker has room for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from glasses_spark.errors import SetupError
from glasses_spark.runtime.connect import is_connect
from glasses_spark.runtime.master import is_local
from glasses_spark.runtime.task_slots import registered_slots

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)

# Clusters that are not busy start an executor within seconds.
NOTICE_S: Final = 60.0

_STANDALONE: Final = "spark://"


def await_executors(spark: SparkSession, *, timeout: float, notice: float = NOTICE_S) -> None:
    """Wait until the tasks of a cluster have a slot.

    With dynamic allocation Spark asks for executors when there is work, so nothing is awaited.

    Args:
        spark: The running session.
        timeout: Seconds to wait; 0 waits for ever.
        notice: Seconds between two warnings that say what is awaited.

    Raises:
        SetupError: No slot was there in time.
    """
    if is_connect(spark) or is_local(spark.sparkContext):
        return
    conf = dict(spark.sparkContext.getConf().getAll())
    if conf.get("spark.dynamicAllocation.enabled", "").lower() == "true":
        return
    began, notices = time.monotonic(), 0
    while not registered_slots(spark):
        waited = time.monotonic() - began
        if timeout and waited >= timeout:
            raise SetupError(
                f"{_missing(spark, conf, waited)}. Ask for less, or raise spark.executor_timeout"
            )
        if waited >= (notices + 1) * notice:
            notices += 1
            limit = f"{timeout:.0f} s (spark.executor_timeout)" if timeout else "for ever"
            logger.warning("%s. Waiting for it, %s", _missing(spark, conf, waited), limit)
        time.sleep(0.1)


def _missing(spark: SparkSession, conf: Mapping[str, str], waited: float) -> str:
    """Return what was asked for, and what the cluster has."""
    master = str(spark.sparkContext.master)
    cores = conf.get("spark.executor.cores")
    memory = conf.get("spark.executor.memory", "1g")
    offers = _workers_of(spark) if master.startswith(_STANDALONE) else ""
    return (
        f"no executor has a free task slot on {master} after {waited:.0f} s: asked for executors "
        f"of {f'{cores} cores' if cores else 'all cores of a worker'} (spark.executor.cores) and "
        f"{memory} of memory (spark.executor.memory), and for {conf.get('spark.task.cpus', '1')} "
        f"cores for a task (spark.task.cpus); {offers or 'its web pages show what the cluster has'}"
    )


def _workers_of(spark: SparkSession) -> str:
    """Return the resources of the workers of a standalone cluster; empty if unknown."""
    try:
        workers = _master_state(spark).workers()
    except Exception as error:
        # Another version of Spark, or a master that does not answer.
        logger.debug("the master does not tell its workers: %s", error)
        return ""
    resources = [
        f"{worker.host()}: {worker.coresFree()} of {worker.cores()} cores and "
        f"{worker.memoryFree()} of {worker.memory()} MiB free"
        for worker in workers
        if worker.isAlive()
    ]
    return f"the cluster has {'; '.join(resources) or 'no workers'}"


def _master_state(spark: SparkSession) -> Any:
    # What the master's own page shows. Not in Spark's interface.
    jvm: Any = spark.sparkContext._jvm
    address = str(spark.sparkContext.master).split(",")[0]
    where = getattr(jvm, "org.apache.spark.rpc.RpcAddress").fromSparkURL(address)
    environment = getattr(jvm, "org.apache.spark.SparkEnv").get().rpcEnv()
    request = getattr(jvm, "org.apache.spark.deploy.DeployMessages$RequestMasterState$")
    any_class = getattr(jvm, "scala.reflect.ClassTag").Any()
    master = environment.setupEndpointRef(where, "Master")
    return master.askSync(getattr(request, "MODULE$"), any_class)
