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


def warm_up(spark: SparkSession) -> list[threading.Thread]:
    """Begin to import TensorFlow in the driver and, in local mode, what workers decode with.

    Nothing depends on it: who needs TensorFlow earlier waits for the import, as without.

    Args:
        spark: The session that will train.

    Returns:
        The threads that are at it. The interpreter waits for them before it ends, as it
        cannot end well in the middle of an import.
    """
    threads = [threading.Thread(target=import_keras, name="warm-up")]
    if is_local(spark.sparkContext):
        threads.append(_running(_empty_task(spark.sparkContext)))
    for thread in threads:
        thread.start()
    return threads


def warm_up_training(spark: SparkSession, *, num_workers: int | str) -> None:
    """Begin to import TensorFlow for the workers that train, in local mode.

    It takes a core for two seconds. While there are images to decode these would only
    wait for it, but between the decoding and the training Spark leaves a core idle.

    Args:
        spark: The session that will train.
        num_workers: As for the fit.
    """
    context = spark.sparkContext
    if is_local(context):
        slots = task_slots(spark)
        workers = slots if num_workers == AUTO else min(int(num_workers), slots)
        begin_to_import(context, threads=worker_threads(context, at_once=workers))


def _empty_task(context: SparkContext) -> Any:
    """A task whose daemon (see ``daemon.py``) imports what the workers of its kind need."""
    # An RDD: planning its first query takes the JVM a second, which it has no time for now.
    with query_environment(context):
        return context.parallelize([0], 1).mapPartitions(_nothing)._jrdd


def _running(task: Any) -> threading.Thread:
    def run() -> None:
        try:
            task.count()
        except Exception as error:
            # Such as Spark being stopped: whoever works with it will hear of what is wrong.
            logger.debug("warm-up: %s", error)

    return threading.Thread(target=run, name="warm-up")


def _nothing(rows: Iterable[object]) -> Iterable[object]:
    return rows
