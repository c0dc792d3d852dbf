"""Gateway: the start of Spark's JVM, which leaves no process behind if it is interrupted."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

# pyspark is imported inside the functions: an external Spark, named by
# SPARK_HOME, brings its own, and findspark must come first.
if TYPE_CHECKING:
    from pyspark import SparkConf

# A JVM needs one or two seconds to start. One that hangs must not hold up an interruption.
_LONGEST_START_S: Final = 10.0


def start_gateway(conf: SparkConf) -> None:
    """Start Spark's JVM, or connect to the one that spark-submit has started.

    The JVM ends when its standard input is closed, which happens at the latest with this
    process. But it reads its standard input only after it has written its port to a folder
    that PySpark removes when an exception ends the start. Without the folder it would fail
    and stay for good. So PySpark starts it in a thread: signals raise exceptions in the main
    thread only.

    Args:
        conf: Settings for the start of the JVM.

    Raises:
        PySparkRuntimeError: The JVM ended.
        OSError: Spark's script cannot be run, or the temporary folder cannot be written.
    """
    errors: list[BaseException] = []
    # Not `Thread.join`, which takes a thread for ended once it was interrupted.
    ended = threading.Event()
    threading.Thread(target=_start, args=(conf, errors, ended), name="gateway", daemon=True).start()
    try:
        ended.wait()
    except BaseException:
        # PySpark removes its folder at the end of the start.
        ended.wait(_LONGEST_START_S)
        raise
    if errors:
        raise errors[0]


def _start(conf: SparkConf, errors: list[BaseException], ended: threading.Event) -> None:
    from pyspark import SparkContext

    try:
        SparkContext._ensure_initialized(conf=conf)
    except BaseException as error:
        errors.append(error)
    finally:
        ended.set()
