"""A worker that is four times slower than the others."""

from __future__ import annotations

import logging
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

PERIOD_S: Final = 0.4
SHARE: Final = 0.25  # of the time in which the process runs

_JOINED: Final = re.compile(r"worker (\d+) has joined from .*, process (\d+)")


@contextmanager
def slow_worker(number: int) -> Iterator[None]:
    """Stop the process of a worker for three quarters of the time, in a fit in local mode."""
    watcher, over = _Watcher(number), threading.Event()
    logger = logging.getLogger("glasses_spark.training.server.coordinator")
    level, propagates = logger.level, logger.propagate
    logger.addHandler(watcher)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False

    def slow_down() -> None:
        watcher.joined.wait()
        while not over.is_set():
            with suppress(ProcessLookupError):  # replaced by another attempt
                os.kill(watcher.process, signal.SIGSTOP)
                over.wait((1 - SHARE) * PERIOD_S)
                os.kill(watcher.process, signal.SIGCONT)
            over.wait(SHARE * PERIOD_S)

    thread = threading.Thread(target=slow_down)
    thread.start()
    try:
        yield
    finally:
        over.set()
        watcher.joined.set()
        thread.join()
        logger.removeHandler(watcher)
        logger.setLevel(level)
        logger.propagate = propagates


class _Watcher(logging.Handler):
    """Reads the process of a worker from the log of the driver."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.joined = threading.Event()
        self.process = 0
        self._number = number

    def emit(self, record: logging.LogRecord) -> None:
        match = _JOINED.fullmatch(record.getMessage())
        if match and int(match[1]) == self._number:
            self.process = int(match[2])
            self.joined.set()
