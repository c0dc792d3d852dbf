"""Program of test_odd_place.py: what a Spark of this package does in an odd place.

It prints the user of Spark, and what a Python worker has imported, as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import pandas as pd

from glasses_spark.runtime.session import spark_session


def in_worker(frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    import random

    import mine  # type: ignore[import-not-found]
    import numpy as np

    for frame in frames:
        yield frame.assign(found=f"{random.__file__} {np.__file__} {mine.ANSWER}")


def main() -> None:
    with spark_session(master="local[1]") as spark:
        rows = spark.range(1).mapInPandas(in_worker, "id bigint, found string").collect()
        print(json.dumps([spark.sparkContext.sparkUser(), rows[0]["found"]]))


if __name__ == "__main__":
    main()
