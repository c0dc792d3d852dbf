"""Tests for glasses_spark.runtime.spark_errors; tests/training/test_user_errors.py has fits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from glasses_spark.errors import (
    DataError,
    GlassesSparkError,
    ScoringError,
    SetupError,
    TrainingError,
)
from glasses_spark.runtime.spark_errors import (
    cause_of,
    is_spark_error,
    spark_error_types,
    spark_errors,
    translated,
)

PYTHON = """
  An exception was thrown from the Python worker. Please see the stack trace below.
Traceback (most recent call last):
  File "pyarrow/array.pxi", line 1327, in pyarrow.lib.Array.from_pandas
pyarrow.lib.ArrowInvalid: Could not convert 'x' with type str: tried to convert to double

The above exception was the direct cause of the following exception:

Traceback (most recent call last):
  File "/home/ann/jobs/clean.py", line 12, in clean
    raise ValueError("bad row\\nof two lines")
ValueError: bad row
of two lines
"""

KILLED = """An error occurred while calling o604.collectToPython.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 1 in stage 14.0 failed \
1 times, most recent failure: Lost task 1.0 in stage 14.0 (TID 17) (10.0.0.1 executor driver): \
org.apache.spark.SparkException: Python worker exited unexpectedly (crashed). Consider setting ...
\tat org.apache.spark.api.python.BasePythonRunner.applyOrElse(PythonRunner.scala:621)
Caused by: java.io.EOFException
\tat java.base/java.io.DataInputStream.readInt(DataInputStream.java:386)
\t... 31 more

Driver stacktrace:
\tat org.apache.spark.scheduler.DAGScheduler.abortStage(DAGScheduler.scala:2935)
Caused by: org.apache.spark.SparkException: Python worker exited unexpectedly (crashed). Consider \
setting 'spark.python.worker.faulthandler.enabled'
\tat org.apache.spark.api.python.BasePythonRunner.applyOrElse(PythonRunner.scala:621)
Caused by: java.io.EOFException
\t... 31 more
"""

LOST = """An error occurred while calling o59.collectToPython.
: org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 3.0 failed 4 \
times, most recent failure: Lost task 0.3 in stage 3.0 (TID 9) (10.0.0.7 executor 3): \
ExecutorLostFailure (executor 3 exited caused by one of the running tasks) Reason: Command exited \
with code 137
Driver stacktrace:
\tat org.apache.spark.scheduler.DAGScheduler.abortStage(DAGScheduler.scala:2935)
"""


def java(text: str) -> Exception:
    return PySparkException(text)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        pytest.param(
            PYTHON,
            TrainingError,
            r"^ValueError: bad row, in clean \(clean.py, line 12\) \(during the fit\). Do this$",
            id="python",
        ),
        pytest.param(
            KILLED, TrainingError, "^a Python worker was killed or crashed .*memory", id="killed"
        ),
        pytest.param(
            LOST,
            TrainingError,
            r"ExecutorLostFailure \(executor 3 .* code 137 \(during the fit\). Give it more memory",
            id="executor lost",
        ),
        pytest.param(
            "x: java.lang.OutOfMemoryError: Java heap space",
            TrainingError,
            "OutOfMemoryError: Java heap space.* spark.executor.memory",
            id="memory",
        ),
        pytest.param(
            'Traceback (most recent call last):\n  File "/a/pyspark/worker.py", line 1, in main\n'
            "ModuleNotFoundError: No module named 'glasses_spark'",
            SetupError,
            r"^ModuleNotFoundError: No module named 'glasses_spark' in .*Set PYSPARK_PYTHON",
            id="package",
        ),
        pytest.param(
            'Traceback (most recent call last):\n  File "/a/pyspark/worker.py", line 1, in main\n'
            "ModuleNotFoundError: No module named 'my_layers.deep'",
            TrainingError,
            "^ModuleNotFoundError: No module named 'my_layers.deep' in .*addPyFile",
            id="module",
        ),
        pytest.param(
            "Traceback (most recent call last):\npyspark.errors.exceptions.base.PySparkRuntimeError"
            ": [PYTHON_VERSION_MISMATCH] Python in worker has different version: 3.12 than that in "
            "driver: 3.11, PySpark cannot run with different minor versions.",
            SetupError,
            "^PySparkRuntimeError: .PYTHON_VERSION_MISMATCH. .*3.12 .* 3.11,.*Set PYSPARK_PYTHON",
            id="version",
        ),
        pytest.param(
            'x\nCaused by: java.io.IOException: Cannot run program "/no/python": error=2\n'
            "\tat java.base/java.lang.ProcessBuilder.start(ProcessBuilder.java:1143)\n"
            "Caused by: java.io.IOException: error=2, No such file or directory\n\t... 9 more",
            SetupError,
            "^the Python of Spark's workers, /no/python, cannot be started .*Set PYSPARK_PYTHON",
            id="no such Python",
        ),
        pytest.param(
            "An error occurred while calling o1.x.\n: org.apache.spark.SparkException: \n"
            "Error from python worker:\n  /usr/bin/python3: No module named pyspark.daemon\n",
            SetupError,
            "^SparkException: Error from python worker: /usr/bin/python3: No module named pyspark",
            id="Python without Spark",
        ),
        pytest.param(
            "An error occurred while calling o1.x.\n: java.lang.IllegalStateException: Cannot call "
            "methods on a stopped SparkContext.\nThis stopped SparkContext was created at:",
            SetupError,
            "^the SparkSession was stopped .* Start a session",
            id="stopped",
        ),
        pytest.param(
            "[DIVIDE_BY_ZERO] Division by zero. SQLSTATE: 22012\n== DataFrame ==\nat line 86",
            TrainingError,
            r"^PySparkException: .DIVIDE_BY_ZERO. Division by zero \(during the fit\). Do this$",
            id="SQL",
        ),
        pytest.param("", TrainingError, "^PySparkException ", id="no text"),
        pytest.param(
            "Traceback (most recent call last):\nglasses_spark.errors.DataError: features: bad",
            DataError,
            "^features: bad$",
            id="an error of this library",
        ),
        pytest.param(
            "Traceback (most recent call last):\nsqlalchemy.exc.DataError: no number",
            TrainingError,
            "^DataError: no number .during the fit.",
            id="an error of the same name",
        ),
    ],
)
def test_the_message_begins_with_the_cause(
    text: str, kind: type[GlassesSparkError], message: str
) -> None:
    error = translated(java(text), TrainingError, "the fit", "Do this")
    assert type(error) is kind
    assert "\n" not in str(error)
    with pytest.raises(kind, match=message):
        raise error


def test_a_place_in_a_package_is_not_shown() -> None:
    text = (
        'Traceback (most recent call last):\n  File "/x/site-packages/a/b.py", line 3, in go\n'
        "KeyError: 'x'\n"
    )
    assert str(cause_of(java(text))) == "KeyError: 'x'"


def raising(batches: Iterable[Any]) -> Iterable[Any]:
    raise ZeroDivisionError("nothing left")


def of_a_worker(spark: SparkSession, folder: Path) -> None:
    spark.range(1).mapInArrow(raising, "id bigint").collect()


def of_an_rdd(spark: SparkSession, folder: Path) -> None:
    spark.sparkContext.parallelize([0], 1).map(lambda x: 1 / x).collect()


def of_the_analysis(spark: SparkSession, folder: Path) -> None:
    spark.table("no_such_table")


def of_an_expression(spark: SparkSession, folder: Path) -> None:
    spark.range(1).select(F.raise_error(F.lit("my own check"))).collect()


def of_a_file(spark: SparkSession, folder: Path) -> None:
    path = folder / "rows"
    spark.range(3).coalesce(1).write.parquet(str(path))
    frame = spark.read.parquet(str(path))
    for file in path.glob("*.parquet"):
        file.unlink()
    frame.collect()


def of_the_jvm(spark: SparkSession, folder: Path) -> None:
    context: Any = spark.sparkContext
    context._jvm.java.util.ArrayList().get(3)


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (of_a_worker, r"^ZeroDivisionError: nothing left, in raising \(test_spark_errors.py, line"),
        (of_an_rdd, "^ZeroDivisionError: division by zero, in <lambda>"),
        (of_the_analysis, "^AnalysisException: .TABLE_OR_VIEW_NOT_FOUND. .*no_such_table"),
        (of_an_expression, "^SparkRuntimeException: .USER_RAISED_EXCEPTION. my own check"),
        (of_a_file, r"^FileNotFoundException: File .*parquet does not exist.* read them again"),
        (of_the_jvm, r"^(Array)?IndexOutOfBoundsException: Index 3 out of bounds for length 0"),
    ],
)
def test_an_error_of_spark_is_raised_as_one_of_this_library(
    spark: SparkSession,
    tmp_path: Path,
    work: Callable[[SparkSession, Path], None],
    message: str,
) -> None:
    with (
        pytest.raises(ScoringError, match=message) as caught,
        spark_errors(ScoringError, "the test"),
    ):
        work(spark, tmp_path)
    assert isinstance(caught.value.__cause__, spark_error_types())
    assert is_spark_error(caught.value.__cause__)
    assert "\n" not in str(caught.value)


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), spark_errors(ScoringError, "the test"):
        raise KeyError("x")
    assert not is_spark_error(KeyError("x"))
