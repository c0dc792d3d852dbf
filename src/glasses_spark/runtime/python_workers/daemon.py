"""Python daemon: the process that Spark forks its Python workers from, with imports done.

Spark starts it instead of ``pyspark.daemon`` if ``spark.python.daemon.module`` names it, and
one for each set of environment variables of Python functions (see ``worker_environment``).
In a daemon for training and scoring it imports TensorFlow once, and not in each worker, or
hands over to a process that has imported it (see ``fork_server``). In any other daemon it
imports what decoding needs. TensorFlow creates its thread pools on first use, which is after
the fork.
"""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from importlib import import_module
from typing import Final

from glasses_spark.runtime.python_workers import fork_server
from glasses_spark.runtime.python_workers.task_start import (
    disable_delayed_ack,
    use_installed_pyspark,
)
from glasses_spark.runtime.spark_settings import SAFE_PATH
from glasses_spark.runtime.startup import Optimization, is_enabled
from glasses_spark.runtime.workers import THREADS_VARIABLE

_WORKER: Final = "pyspark.worker"

# Modules of workers that train or score.
COMPUTING: Final = (
    "pyspark.daemon",
    "glasses_spark.scoring.udf",
    "glasses_spark.training.worker.worker",
)

# Modules of other workers.
DECODING: Final = (
    "pyspark.daemon",
    "glasses_spark.preprocessing.decoding.batches",
    "glasses_spark.preprocessing.duplicates.perceptual_hash",
)


def main() -> None:
    """Import what the workers need, and serve Spark until it closes standard input."""
    if os.environ.get(SAFE_PATH):
        with suppress(OSError):  # somebody has removed the folder meanwhile
            sys.path.append(os.getcwd())  # for the user's own modules
    if is_enabled(Optimization.TASK_START):
        use_installed_pyspark()
    if fork_server.SERVE in sys.argv:
        listener = socket.socket(fileno=int(sys.argv[-1]))
        fork_server.serve(listener, lambda: _import_modules(computing=True), _run_manager)
    server = os.environ.get(fork_server.ADDRESS_VARIABLE)
    # Spark passes the module of its workers. The server has imported the usual one.
    if server and sys.argv[1:] == [_WORKER] and fork_server.hand_over(server):
        return
    _import_modules(computing=THREADS_VARIABLE in os.environ)
    _run_manager()


def _import_modules(*, computing: bool) -> None:
    from glasses_spark.runtime.garbage import collector_paused, freeze_objects
    from glasses_spark.runtime.keras import import_bare_keras

    with collector_paused():
        if computing:
            import_bare_keras()
        for name in COMPUTING if computing else DECODING:
            import_module(name)
    freeze_objects()


def _run_manager() -> None:
    from pyspark import daemon

    if is_enabled(Optimization.TASK_START):
        daemon.worker = disable_delayed_ack(daemon.worker)
    daemon.manager()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
