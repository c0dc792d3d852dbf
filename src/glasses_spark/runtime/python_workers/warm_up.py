"""Warm-up: import what the driver and the Python workers need while Spark lists the images."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from glasses_spark.errors import SetupError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.master import is_local
from glasses_spark.runtime.python_workers.fork_server import (
    ForkServer,
    import_time,
    start_fork_server,
)
from glasses_spark.runtime.spark_settings import DAEMON_MODULE, DAEMON_SETTING
from glasses_spark.runtime.startup import Optimization, is_enabled
from glasses_spark.runtime.task_slots import count_workers, task_cpus, task_slots
from glasses_spark.runtime.workers import query_environment, training_variables, worker_threads

if TYPE_CHECKING:
    from pyspark import SparkContext
    from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)


def warm_up(spark: SparkSession, *, num_workers: int | str) -> list[threading.Thread]:
    """Start to import what the driver and, in local mode, the workers will need.

    Nothing depends on it: code that needs a package earlier waits for its import.

    Args:
        spark: The session that will train.
        num_workers: As for the fit.

    Returns:
        The threads that import. The interpreter waits for them before it exits.
    """
    if not is_enabled(Optimization.WARM_UP):
        return []
    context = spark.sparkContext
    threads = [threading.Thread(target=_import_keras, name="warm-up")]
    if is_local(context):
        threads.append(threading.Thread(target=_run, args=(_empty_job(context),), name="warm-up"))
        if _uses_own_daemon(context) and is_enabled(Optimization.FORK_SERVER):
            slots = task_slots(spark)
            workers = min(count_workers(num_workers, slots=slots), slots)
            try:
                warm_up_fork_server(context, threads=worker_threads(context, at_once=workers))
            except OSError as error:
                logger.debug("no fork server: %s", error)
    for thread in threads:
        thread.start()
    return threads


def warm_up_fork_server(context: SparkContext, *, threads: int) -> ForkServer:
    """Start the fork server of a Spark in local mode, or return the running one.

    Args:
        context: The running Spark.
        threads: As for ``worker_environment``.
    """
    conf = context.getConf()
    prefix = "spark.executorEnv."
    from_conf = {
        key.removeprefix(prefix): value for key, value in conf.getAll() if key.startswith(prefix)
    }
    return start_fork_server(
        context,
        _inherited_variables(context)
        | {"OMP_NUM_THREADS": str(task_cpus(conf.get))}
        | from_conf
        | context.environment
        | training_variables(context, threads),
    )


def _uses_own_daemon(context: SparkContext) -> bool:
    return context.getConf().get(DAEMON_SETTING) == DAEMON_MODULE


def _empty_job(context: SparkContext) -> Any:
    """Return an RDD whose task starts the daemon of decoding workers."""
    # Not a query: planning its first query takes a new JVM a second.
    with query_environment(context):
        return context.parallelize([0], 1).mapPartitions(_pass_through)._jrdd


def _run(job: Any) -> None:
    try:
        job.count()
    except Exception as error:
        # For example because Spark was stopped. Later work reports what is wrong.
        logger.debug("warm-up: %s", error)


def _import_keras() -> None:
    try:
        import_keras()
    except SetupError as error:
        # Code that needs Keras raises it again.
        logger.debug("warm-up: %s", error)


def _pass_through(rows: Iterable[object]) -> Iterable[object]:
    return rows


def _inherited_variables(context: SparkContext) -> dict[str, str]:
    """Return the variables that Spark's Python processes inherit from the JVM.

    The JVM does not see variables that this process has set since, such as Keras' backend.
    """
    jvm = context._jvm
    assert jvm is not None
    variables = dict(os.environ)
    for name in import_time(variables):
        in_jvm = jvm.System.getenv(name)
        variables.pop(name)
        variables |= {} if in_jvm is None else {name: in_jvm}
    return variables
