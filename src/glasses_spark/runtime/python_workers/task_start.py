"""Task start: what makes Spark's Python workers start a task sooner."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import PathFinder
from pathlib import Path


def use_installed_pyspark() -> None:
    """Remove PySpark's archives from ``sys.path`` if the package itself is installed.

    Spark puts ``pyspark.zip`` and py4j's archive first, and invalidates Python's import
    caches before each task. Reading the directories of the archives again takes 0.1 s.
    """
    sys.path[:] = without_archives(sys.path)
    for entry in [entry for entry in sys.path_importer_cache if entry not in sys.path]:
        del sys.path_importer_cache[entry]


def without_archives(entries: Sequence[str]) -> list[str]:
    """Return the entries of a search path without the files inside an installed ``pyspark``.

    Args:
        entries: Folders and archives, as in ``sys.path``.

    Returns:
        The entries, all of them if ``pyspark`` and ``py4j`` are not both found in folders.
    """
    folders = [entry for entry in entries if not Path(entry).is_file()]
    pyspark, py4j = (PathFinder.find_spec(name, folders) for name in ("pyspark", "py4j"))
    if pyspark is None or pyspark.origin is None or py4j is None:
        return list(entries)
    package = Path(pyspark.origin).parent
    return [
        entry for entry in entries if entry in folders or not Path(entry).is_relative_to(package)
    ]


def disable_delayed_ack(
    work: Callable[[socket.socket, bool], int],
) -> Callable[[socket.socket, bool], int]:
    """Disable delayed acknowledgements on the sockets of a worker.

    The JVM starts a task by several small writes. It holds back the later ones until the
    first is acknowledged (Nagle's algorithm, RFC 896), which Linux delays by 40 ms.

    Args:
        work: Function of ``pyspark.daemon`` that runs one task over a socket.

    Returns:
        The same function with ``TCP_QUICKACK`` and ``TCP_NODELAY`` set, where the system has
        them.
    """

    def run(connection: socket.socket, authenticated: bool) -> int:
        # Linux resets TCP_QUICKACK after a while: it is set again for each task.
        for option in ("TCP_QUICKACK", "TCP_NODELAY"):
            if hasattr(socket, option):
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), 1)
        return work(connection, authenticated)

    return run
