"""Program of test_worker_python.py: fits in plain Spark sessions with other Pythons.

Usage: ``python plain_sessions.py MASTER PYTHON...``, where an empty ``PYTHON`` leaves
``PYSPARK_PYTHON`` unset. It prints a line of JSON for each: the number of scored rows, or the
class and the message of the error.
"""

from __future__ import annotations

import json
import os
import sys

from pyspark.sql import SparkSession

from glasses_spark.errors import GlassesSparkError
from tests.training.tiny import FEATURES, tiny_estimator


def outcome(spark: SparkSession) -> list[object]:
    frame = spark.range(8).selectExpr(
        f"array_repeat(id * 1D, {FEATURES}) features", "id % 2 * 1D label"
    )
    try:
        fitted = tiny_estimator(epochs=1, num_workers=1, verbose=0).fit(frame)
    except GlassesSparkError as error:
        return [type(error).__name__, str(error)]
    return [len(fitted.transform(frame).collect())]


def main(master: str, pythons: list[str]) -> None:
    for python in pythons:
        os.environ.pop("PYSPARK_PYTHON", None)
        if python:
            os.environ["PYSPARK_PYTHON"] = python
        spark = (
            SparkSession.builder.master(master).config("spark.ui.enabled", "false").getOrCreate()
        )
        print(json.dumps(outcome(spark)), flush=True)
        spark.stop()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
