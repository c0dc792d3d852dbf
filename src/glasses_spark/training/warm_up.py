"""Warm-up: what Python workers import is imported while Spark lists images, and not after it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Sequence
from typing import Any

from pyspark import SparkContext
from pyspark.sql import SparkSession

from glasses_spark.backend import import_keras
from glasses_spark.executors import is_local, query_environment, worker_environment, worker_threads
from glasses_spark.session import task_slots
from glasses_spark.training.trainer import AUTO

logger = logging.getLogger(__name__)


def warm_up(spark: SparkSession, *, num_workers: int | str) -> list[threading.Thread]:
    """Begin to import TensorFlow, in the driver and, in local mode, for the workers.

    Nothing depends on it: who needs TensorFlow earlier waits for the import, as without.

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
        slots = task_slots(spark)
        workers = slots if num_workers == AUTO else min(int(num_workers), slots)
        # Made here and not in the thread: another one may make functions of its own meanwhile,
        # and they would get these variables.
        decoding = _empty_task(context)
        with worker_environment(context, threads=worker_threads(context, at_once=workers)):
            computing = _empty_task(context)
        tasks = (decoding, computing)
        threads.append(threading.Thread(target=_run, args=(tasks,), name="warm-up"))
    for thread in threads:
        thread.start()
    return threads


def _empty_task(context: SparkContext) -> Any:
    """A task whose daemon (see ``daemon.py``) imports what the workers of its kind need."""
    # An RDD: planning its first query takes the JVM a second, which it has no time for now.
    with query_environment(context):
        return context.parallelize([0], 1).mapPartitions(_nothing)._jrdd


def _run(tasks: Sequence[Any]) -> None:
    try:
        for task in tasks:
            task.count()
    except Exception as error:
        # Such as Spark being stopped: whoever works with it will hear of what is wrong.
        logger.debug("warm-up: %s", error)


def _nothing(rows: Iterable[object]) -> Iterable[object]:
    return rows
