"""Persist: DataFrames kept in memory, without a leak of Spark 4.0.0.

Spark plans what it keeps in a clone of the session with other settings. In Spark 4.0.0 the
clone's artifact manager is registered for cleaning by a function that refers to it, so that neither
is ever freed: 120 KB of the JVM for each `DataFrame.persist` (SPARK-54753, cured in 4.0.2, which
Elephas does not allow).
"""

from __future__ import annotations

from contextlib import suppress

from py4j.protocol import Py4JError
from pyspark import StorageLevel
from pyspark.sql import DataFrame

from glasses_spark.runtime.connect import is_connect


def persist(frame: DataFrame, level: StorageLevel | None = None) -> DataFrame:
    """Keep the rows of a frame when they are first computed, as ``DataFrame.persist`` does.

    Args:
        frame: Any frame.
        level: Where to keep it; None for Spark's default.
    """
    kept = frame.persist() if level is None else frame.persist(level)
    if not is_connect(frame.sparkSession):
        # Another version of Spark has other classes, and no leak.
        with suppress(Py4JError, AttributeError):
            _forget_clone(kept)
    return kept


def _forget_clone(kept: DataFrame) -> None:
    """Unregister the artifact manager of the clone, which has no artifacts of its own."""
    session = kept.sparkSession._jsparkSession
    cached = session.sharedState().cacheManager().lookupCachedData(kept._jdf)
    if not cached.isDefined():
        return
    plan = cached.get().cachedRepresentation().cacheBuilder().cachedPlan()
    # An adaptive plan itself is made in the session of the caller.
    is_adaptive = plan.getClass().getSimpleName() == "AdaptiveSparkPlanExec"
    clone = plan.context().session() if is_adaptive else plan.session()
    if clone.sessionUUID() != session.sessionUUID():
        clone.artifactManager().cleanable().clean()
