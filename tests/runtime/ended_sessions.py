"""Program of test_stages.py: fits whose Spark ends meanwhile, each in a session of its own.

It prints the class and the message of each error, and the class of its cause, as lines of JSON.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Any

from pyspark import SparkContext
from pyspark.sql import DataFrame, SparkSession

from glasses_spark.errors import GlassesSparkError
from glasses_spark.runtime.keras import import_keras
from tests.training.tiny import FEATURES, tiny_estimator


def frame_of(spark: SparkSession) -> DataFrame:
    return spark.range(8).selectExpr(
        f"array_repeat(id * 1D, {FEATURES}) features", "id % 2 * 1D label"
    )


def report(work: Callable[[], object]) -> None:
    try:
        work()
    except GlassesSparkError as error:
        print(json.dumps([type(error).__name__, str(error)]), flush=True)


def fit(frame: DataFrame, end: Callable[[], object]) -> None:
    callback: Any = import_keras().callbacks.LambdaCallback(on_epoch_end=lambda *_: end())
    report(lambda: tiny_estimator(verbose=0, num_workers=1, callbacks=[callback]).fit(frame))


def kill_jvm() -> None:
    process = SparkContext._gateway.proc  # type: ignore[union-attr]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def main() -> None:
    builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
    spark = builder.getOrCreate()
    frame = frame_of(spark)
    fit(frame, spark.stop)
    report(lambda: tiny_estimator().fit(frame))
    fit(frame_of(builder.getOrCreate()), kill_jvm)
    # Not the end of the session, which would wait for the JVM.
    os._exit(0)


if __name__ == "__main__":
    main()
