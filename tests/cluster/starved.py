"""Program of test_executors.py: wait for executors that no worker has room for.

Usage: ``python starved.py MASTER MEMORY``. It prints the warnings and the error.
"""

from __future__ import annotations

import logging
import sys

from glasses_spark.errors import SetupError
from glasses_spark.runtime.executors import await_executors
from glasses_spark.runtime.session import spark_session


def main(master: str, memory: str) -> None:
    logging.basicConfig(level=logging.WARNING, stream=sys.stdout, format="%(message)s")
    conf = {"spark.executor.memory": memory, "spark.cores.max": "1"}
    with spark_session(master=master, conf=conf) as spark:
        try:
            await_executors(spark, timeout=5, notice=2)
        except SetupError as error:
            print(f"error: {error}")
        else:
            print("slots")


if __name__ == "__main__":
    main(*sys.argv[1:])
