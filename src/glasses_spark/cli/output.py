"""Output of a command: a file or standard output, and the display of progress."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from glasses_spark.cli.streams import stop_without_output
from glasses_spark.errors import ConfigError
from glasses_spark.runtime.progress import BarProgress, Progress


def make_progress() -> Progress:
    """Return bars if standard error is a terminal, else log lines."""
    return BarProgress() if sys.stderr.isatty() else Progress()


@contextmanager
def open_output(path: str | None, *, option: str = "--out") -> Iterator[TextIO]:
    """Open the output file of a command, or standard output.

    Args:
        path: Path of the file; None: standard output.
        option: Option that named the path, for the error message.

    Raises:
        ConfigError: The file cannot be written.
    """
    if path is None:
        stop_without_output()
        yield sys.stdout
        return
    try:
        file = Path(path).open("w", newline="", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise ConfigError(f"{option}: cannot write {path}: {error.strerror}") from error
    with file:
        yield file
