"""Warm-up: what Python workers import is imported while Spark lists images, and not after it."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pyspark import SparkContext
from pyspark.sql import SparkSession

from glasses_spark.config.fields import AUTO
from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.python_workers.fork_server import (
    import_time,
    start_fork_server,
)
from glasses_spark.runtime.task_slots import task_slots
from glasses_spark.runtime.workers import (
    is_local,
    query_environment,
    training_variables,
    worker_threads,
)

if TYPE_CHECKING:
    from pyspark import SparkContext

logger = logging.getLogger(__name__)


def warm_up(spark: SparkSession, *, num_workers: int | str) -> list[threading.Thread]:
    """Begin to import what the driver and, in local mode, the workers will need.

    That is TensorFlow in the driver and for the workers that train, and what others decode
    with. Nothing depends on it: who needs it earlier waits for the import, as without.

    Args:
        spark: The session that will train.
        num_workers: As for the fit.

    Returns:
        The threads that are at it. The interpreter waits for them before it ends, as it
        cannot end well in the middle of an import.
    """
    context = spark.sparkContext
    threads = [threading.Thread(target=import_keras, name="warm-up")]
    if is_local(context):
        threads.append(threading.Thread(target=_run, args=(_empty_task(context),), name="warm-up"))
        slots = task_slots(spark)
        workers = slots if num_workers == AUTO else min(int(num_workers), slots)
        begin_to_import(context, threads=worker_threads(context, at_once=workers))
    for thread in threads:
        thread.start()
    return threads


def _empty_task(context: SparkContext) -> Any:
    """A task whose daemon (see ``daemon.py``) imports what the workers of its kind need."""
    # An RDD: planning its first query takes the JVM a second, which it has no time for now.
    with query_environment(context):
        return context.parallelize([0], 1).mapPartitions(_nothing)._jrdd


def _run(task: Any) -> None:
    try:
        task.count()
    except Exception as error:
        # Such as Spark being stopped: whoever works with it will hear of what is wrong.
        logger.debug("warm-up: %s", error)


def _nothing(rows: Iterable[object]) -> Iterable[object]:
    return rows


def begin_to_import(context: SparkContext, *, threads: int) -> None:
    """Begin to import what the functions of ``worker_environment`` need; in local mode.

    Args:
        context: The running Spark.
        threads: As for ``worker_environment``.
    """
    jvm = context._jvm
    assert jvm is not None
    # What Spark's Python workers get from Java, which did not see what this process has set
    # since, such as Keras' backend; and what Spark and we add to it.
    inherited = dict(os.environ)
    for name in import_time(inherited):
        there = jvm.System.getenv(name)
        inherited.pop(name)
        inherited |= {} if there is None else {name: there}
    conf = context.getConf()
    prefix = "spark.executorEnv."
    start_fork_server(
        context,
        inherited
        | {"OMP_NUM_THREADS": conf.get("spark.task.cpus", "1") or "1"}
        | {
            key.removeprefix(prefix): value
            for key, value in conf.getAll()
            if key.startswith(prefix)
        }
        | context.environment
        | training_variables(context, threads),
    )
