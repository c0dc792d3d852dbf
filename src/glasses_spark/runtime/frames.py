"""Frames: checks of what a user passes as a DataFrame, and of its columns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from glasses_spark.errors import ConfigError, DataError, GlassesSparkError, SetupError
from glasses_spark.runtime.connect import is_connect

# pyspark is imported inside the functions: an external Spark, named by
# SPARK_HOME, brings its own, and findspark must come first.
if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def require_frame(frame: Any, call: str, *, stream: bool = False) -> None:
    """Refuse what is not a DataFrame of a running Spark.

    Args:
        frame: What the user has passed.
        call: Name of the call, for messages, such as ``fit``.
        stream: Whether it may be a stream.

    Raises:
        ConfigError: It is something else, or a stream.
        SetupError: Its session was stopped.
    """
    from pyspark.sql import DataFrame

    if not isinstance(frame, DataFrame):
        raise ConfigError(
            f"{call}: expected a Spark DataFrame, got {_described(frame)}. {_advice(frame)}"
        )
    spark = frame.sparkSession
    if not is_connect(spark) and spark.sparkContext._jsc is None:
        raise SetupError(
            f"{call}: the SparkSession of this DataFrame was stopped. Start a session, and read "
            "the data again"
        )
    if not stream and frame.isStreaming:
        raise ConfigError(
            f"{call}: expected a DataFrame with an end, got a stream. Read the rows with "
            "spark.read, or take each batch of the stream with writeStream.foreachBatch"
        )


def named_column(
    frame: DataFrame,
    name: str,
    what: str,
    setting: str,
    error_type: type[GlassesSparkError] = DataError,
) -> Column:
    """Return a column by its name.

    Args:
        frame: The user's frame.
        name: Name of the column, which may contain dots and backticks.
        what: What the column holds, for messages, such as ``label``.
        setting: Param that names the column.
        error_type: Class of the errors.

    Raises:
        GlassesSparkError: There is no such column, or Spark cannot tell it from another one.
    """
    from pyspark.errors import AnalysisException

    if name not in frame.columns:
        raise error_type(
            f"{what} column {name!r} not found, the columns are {', '.join(frame.columns)}. "
            f"Set {setting} to one of them"
        )
    try:
        return frame[quoted(name)]
    except AnalysisException as error:
        if error.getCondition() != "AMBIGUOUS_REFERENCE":
            raise
        same = [other for other in frame.columns if other.lower() == name.lower()]
        raise error_type(
            f"{what} column {name!r}: expected one column of this name, got {len(same)}: "
            f"{', '.join(same)}. Drop or rename all but one, for example with toDF"
        ) from error


def quoted(name: str) -> str:
    """Return the name of a column as Spark parses it."""
    return f"`{name.replace('`', '``')}`"


def _described(value: Any) -> str:
    kind = type(value)
    if value is None:
        return "None"
    if isinstance(value, tuple | list):
        return f"a {kind.__name__} of {len(value)}"
    return f"a {kind.__module__.split('.')[0]} {kind.__name__}".replace("a builtins ", "a ")


def _advice(value: Any) -> str:
    package, name = type(value).__module__, type(value).__name__
    if package.startswith("pyspark.pandas"):
        return "Use its to_spark()"
    if name in ("DataFrame", "RDD", "PipelinedRDD"):
        return "Make one of it with spark.createDataFrame"
    if isinstance(value, str):
        return "Read the rows with spark.read"
    if name == "GroupedData":
        return "Aggregate the groups first"
    return (
        "Put features and labels into two columns, such as "
        "spark.createDataFrame(zip(x.tolist(), y.tolist()), ['features', 'label'])"
    )
