"""Tests for glasses_spark.runtime.persist."""

from __future__ import annotations

import gc
import time

from pyspark import StorageLevel
from pyspark.sql import SparkSession

from glasses_spark.runtime.persist import persist
from tests.runtime.heap import live_objects

SESSIONS = "org.apache.spark.sql.classic.SparkSession"


def sessions(spark: SparkSession) -> int:
    """Return the number of sessions in the JVM after a collection."""
    gc.collect()
    return live_objects(spark, SESSIONS)


def test_frames_are_kept_without_a_session_for_each(spark: SparkSession) -> None:
    before = sessions(spark)
    for number in range(10):
        # Without a shuffle, for which Spark starts threads that remember the session for a minute.
        frame = spark.range(7)
        if number % 2:
            frame.count()  # planned before it is kept
        kept = persist(frame)
        assert kept.is_cached
        assert kept.count() == 7
        kept.unpersist()
    del frame, kept
    # Python's references go first, then those of Java.
    deadline = time.monotonic() + 30
    while sessions(spark) > before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert sessions(spark) <= before


def test_the_level_is_that_of_the_caller(spark: SparkSession) -> None:
    kept = persist(spark.range(10), StorageLevel.DISK_ONLY)
    assert kept.storageLevel == StorageLevel.DISK_ONLY
    assert kept.count() == 10
    kept.unpersist()


def test_a_frame_that_is_kept_already_stays(spark: SparkSession) -> None:
    frame = spark.range(10)
    for _ in range(2):
        assert persist(frame).is_cached
    frame.unpersist()
    assert not frame.is_cached
