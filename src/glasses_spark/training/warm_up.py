"""Warm-up: what Python workers import is imported while Spark lists images, and not after it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from typing import Any

from pyspark import SparkContext
from pyspark.sql import SparkSession

from glasses_spark.backend import import_keras
from glasses_spark.executors import begin_to_import, is_local, query_environment, worker_threads
from glasses_spark.session import task_slots
from glasses_spark.training.trainer import AUTO

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
