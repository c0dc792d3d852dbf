"""Fit progress: epoch, rows, metrics and time of a running fit, as lines for people."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Final, TextIO

from glasses_spark.config.fields import AUTO
from glasses_spark.training.history import EpochRecord
from glasses_spark.training.schedule import Schedule
from glasses_spark.training.server.state import FitStatus

SILENT: Final = 0
LIVE: Final = 1
LINES: Final = 2


class FitProgress:
    """Writes the progress of one fit.

    Args:
        schedule: Rows and epochs of the fit.
        verbose: 0 writes nothing, 1 keeps a line up to date and leaves one for each epoch, 2
            writes a line for each epoch; ``"auto"`` is 1 on a terminal and in a notebook,
            and 2 elsewhere.
        stream: Where to write; standard output by default, as Keras does.
        clock: Returns seconds that never decrease.
    """

    def __init__(
        self,
        schedule: Schedule,
        verbose: int | str,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._verbose = _resolve(verbose, self._stream)
        self._epochs = schedule.epochs
        self._rows = sum(schedule.rows)
        self._clock = clock
        self._began = self._epoch_began = clock()
        self._width = 0
        # Rows of a resumed fit that were trained on before, from the first status.
        self._before: int | None = None

    def show(self, status: FitStatus) -> None:
        """Update the live line."""
        rows = status.epoch * self._rows + status.rows
        if self._before is None:
            self._before = rows
        done, now = rows - self._before, self._clock()
        if not done:
            # The start of the workers says nothing about their speed.
            self._began = now
        if self._verbose != LIVE or rows >= self._epochs * self._rows:
            return
        seconds = now - self._began
        parts = [
            f"Epoch {status.epoch + 1}/{self._epochs}",
            f"{status.rows}/{self._rows} rows",
            f"{done / seconds:.0f} rows/s" if done and seconds else "starting",
            f"{status.alive}/{status.workers} workers",
        ]
        if done and seconds:
            left = seconds * (self._epochs * self._rows - rows) / done
            parts.append(f"{format_seconds(left)} left")
        self._replace(" - ".join(parts))

    def end_epoch(self, record: EpochRecord, status: FitStatus) -> None:
        """Write the line of a finished epoch."""
        if self._verbose == SILENT:
            return
        now = self._clock()
        seconds, self._epoch_began = now - self._epoch_began, now
        parts = [
            f"Epoch {record.epoch}/{self._epochs}",
            format_seconds(seconds),
            *(f"{name}: {value:.4f}" for name, value in record.metrics.items()),
            f"{record.rows / seconds:.0f} rows/s" if seconds else f"{record.rows} rows",
            f"{status.alive}/{status.workers} workers",
        ]
        left = (self._epochs - record.epoch) * self._rows
        done = record.epoch * self._rows - (self._before or 0)
        if left and done:
            parts.append(f"{format_seconds(left * (now - self._began) / done)} left")
        self._replace(" - ".join(parts))
        self._stream.write("\n")
        self._stream.flush()
        self._width = 0

    def close(self) -> None:
        """End a live line that has no epoch, after an error."""
        if self._width:
            self._stream.write("\n")
            self._stream.flush()
            self._width = 0

    def _replace(self, line: str) -> None:
        start = "\r" if self._width else ""
        self._stream.write(start + line.ljust(self._width))
        self._stream.flush()
        self._width = len(line) if self._verbose == LIVE else 0


def format_seconds(seconds: float) -> str:
    """Return a duration, such as ``4 s``, ``2:05 min`` or ``1:30 h``."""
    if seconds < 9.5:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    minutes = round(seconds / 60)
    return f"{minutes // 60}:{minutes % 60:02d} h"


def _resolve(verbose: int | str, stream: TextIO) -> int:
    if verbose != AUTO:
        return int(verbose)
    # Jupyter's stream is no terminal, but it shows a line that is written again.
    is_notebook = type(stream).__module__.startswith("ipykernel")
    return LIVE if is_notebook or stream.isatty() else LINES
