"""Spark Connect: sessions whose driver is another process, which has no SparkContext here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from glasses_spark.errors import SetupError
from glasses_spark.runtime.master import is_local, is_local_master

# pyspark is imported inside the functions: an external Spark, named by
# SPARK_HOME, brings its own, and findspark must come first.
if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Set by PySpark once it has connected, and by users to let it connect.
_VARIABLES: Final = ("SPARK_CONNECT_MODE_ENABLED", "SPARK_REMOTE")

# More rows than any cluster has cores, so that each partition has some.
_ROWS: Final = 100_000


def is_connect(spark: SparkSession) -> bool:
    """Return whether a session is one of Spark Connect.

    Args:
        spark: A session, or the session of a DataFrame.
    """
    return type(spark).__module__.startswith("pyspark.sql.connect")


def uses_connect() -> bool:
    """Return whether PySpark makes sessions of Spark Connect in this process."""
    return any(name in os.environ for name in _VARIABLES)


def has_connect_session() -> bool:
    """Return whether this thread has a session of Spark Connect."""
    if not uses_connect():
        return False
    from pyspark.sql import SparkSession

    return SparkSession.getActiveSession() is not None


def require_classic(spark: SparkSession, work: str, *, instead: str) -> None:
    """Refuse work that needs the driver in this process.

    Args:
        spark: The running session.
        work: The work, as the subject of a sentence.
        instead: What to do, as the end of a sentence that begins with "or".

    Raises:
        SetupError: The session is one of Spark Connect.
    """
    if is_connect(spark):
        raise SetupError(
            f"{work} needs a classic session, whose driver is in this process, found one of Spark "
            f"Connect. Start it with SparkSession.builder.master(...) or spark-submit, or {instead}"
        )


def default_parallelism(spark: SparkSession) -> int:
    """Return the number of tasks that Spark plans by default; usually that of its cores."""
    if not is_connect(spark):
        return int(spark.sparkContext.defaultParallelism)
    from pyspark.sql import functions as F

    partitions = spark.range(_ROWS).select(F.spark_partition_id())
    return max(1, partitions.distinct().count())


def runs_locally(spark: SparkSession) -> bool:
    """Return whether the tasks run in the JVM of the driver, wherever that is."""
    if is_connect(spark):
        return is_local_master(spark.conf.get("spark.master", ""))
    return is_local(spark.sparkContext)


def master_of(spark: SparkSession) -> str:
    """Return the master of a session."""
    if is_connect(spark):
        return str(spark.conf.get("spark.master", ""))
    return str(spark.sparkContext.master)
