"""Daemon: the process that Spark forks its Python workers from, with TensorFlow imported.

Spark starts it in place of ``pyspark.daemon`` where ``spark.python.daemon.module`` names
it. There is one for each set of environment variables that functions were made with (see
``worker_environment``); in those that train or score, TensorFlow is imported here, once,
and not in each worker, or has been imported by a process that it hands over to (see
``fork_server``); in the others, what decoding needs. What a fork must not inherit,
TensorFlow's pools of threads, is made on first use, which is after the fork.

Its workers acknowledge at once what Spark sends them (see ``prompt``), and it imports
``pyspark`` from where it is installed and not from the archives that Spark
puts before it: at the start of each task Spark has Python forget what it knows of the places
that it imports from, and to read the archives' lists again takes 0.1 s.
"""

from __future__ import annotations

import gc
import os
import socket
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Final

from glasses_spark.runtime.python_workers import fork_server
from glasses_spark.runtime.workers import THREADS_VARIABLE

_WORKER: Final = "pyspark.worker"

# What workers that train or score do, and what others do.
COMPUTING: Final = (
    "pyspark.daemon",
    "glasses_spark.scoring.udf",
    "glasses_spark.training.worker.worker",
)

DECODING: Final = (
    "pyspark.daemon",
    "glasses_spark.preprocessing.decoding.batches",
    "glasses_spark.preprocessing.duplicates.perceptual_hash",
)


def main() -> None:
    """Import what the workers need, and serve Spark until it ends."""
    sys.path[:] = without_archives(sys.path)
    for place in [place for place in sys.path_importer_cache if place not in sys.path]:
        del sys.path_importer_cache[place]
    if fork_server.SERVE in sys.argv:
        listener = socket.socket(fileno=int(sys.argv[-1]))
        fork_server.serve(listener, lambda: _import(computing=True), _manage)
    server = os.environ.get(fork_server.ADDRESS_VARIABLE)
    # Spark names the module of its workers; the server has imported the usual one.
    if server and sys.argv[1:] == [_WORKER] and fork_server.hand_over(server):
        return
    _import(computing=THREADS_VARIABLE in os.environ)
    _manage()


def _import(*, computing: bool) -> None:
    # Not before the places are known: these import pyspark.
    from glasses_spark.runtime.keras import collector_paused, import_bare_keras

    with collector_paused():
        if computing:
            import_bare_keras()
        # And what the work is made of, with all that it imports.
        for name in COMPUTING if computing else DECODING:
            import_module(name)
    # What is there now is there to stay: no worker need look for garbage in it, which
    # would also make copies of memory that all of them share.
    gc.freeze()


def _manage() -> None:
    from pyspark import daemon

    daemon.worker = prompt(daemon.worker)
    daemon.manager()  # type: ignore[no-untyped-call]


def prompt(work: Callable[[socket.socket, bool], int]) -> Callable[[socket.socket, bool], int]:
    """Have a worker answer at once, where the system would wait for more.

    What begins a task goes to Python in several writes. The JVM holds the later ones back
    until the first is acknowledged (Nagle's algorithm, RFC 896), and Linux puts that off for
    40 ms, in case that there is something to send along: 40 ms for each task of Python.

    Args:
        work: What a worker does for one task of Spark, over a socket.

    Returns:
        The same, with acknowledgements that are not put off, and writes not held back.
    """

    def run(connection: socket.socket, authenticated: bool) -> int:
        # The first of them holds for a while only: it is asked for at each task.
        for option in ("TCP_QUICKACK", "TCP_NODELAY"):
            if hasattr(socket, option):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), 1)
        return work(connection, authenticated)

    return run


def without_archives(places: Sequence[str]) -> list[str]:
    """Leave out PySpark's archives and jars where the package around them is found as well.

    Args:
        places: Where Python looks for modules, as in ``sys.path``.

    Returns:
        The same places, without the files inside an installed ``pyspark``.
    """
    folders = [place for place in places if not Path(place).is_file()]
    installed, gateway = (PathFinder.find_spec(name, folders) for name in ("pyspark", "py4j"))
    if installed is None or installed.origin is None or gateway is None:
        return list(places)
    package = Path(installed.origin).parent
    return [
        place for place in places if place in folders or not Path(place).is_relative_to(package)
    ]


if __name__ == "__main__":
    main()
