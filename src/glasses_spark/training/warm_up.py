"""Warm-up: TensorFlow is imported while Spark lists and decodes, and not after it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from pyspark.sql import SparkSession

from glasses_spark.backend import import_keras
from glasses_spark.executors import is_local, worker_environment, worker_threads
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
    threads = [threading.Thread(target=import_keras, name="warm-up")]
    if is_local(spark.sparkContext):
        arguments = (spark, num_workers)
        threads.append(threading.Thread(target=_start_daemon, args=arguments, name="warm-up"))
    for thread in threads:
        thread.start()
    return threads


def _start_daemon(spark: SparkSession, num_workers: int | str) -> None:
    """Run one empty task where training tasks will run."""
    context = spark.sparkContext
    try:
        slots = task_slots(spark)
        workers = slots if num_workers == AUTO else min(int(num_workers), slots)
        threads = worker_threads(context, at_once=workers)
        with worker_environment(context, threads=threads):
            frame = spark.range(1, numPartitions=1).mapInArrow(_nothing, "id bigint")
        frame.collect()
    except Exception as error:
        # Such as Spark being stopped: whoever trains will hear of what is wrong.
        logger.debug("warm-up: %s", error)


def _nothing(batches: Iterable[object]) -> Iterable[object]:
    return batches
