"""Output of a command: a file or standard output, and the display of progress."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TextIO

from glasses_spark.cli.streams import stop_without_output
from glasses_spark.errors import ConfigError, ResultsError
from glasses_spark.runtime.progress import BarProgress, Progress
from glasses_spark.runtime.replaced_file import is_stream, replaced_file
from glasses_spark.runtime.signals import Signals

_DISK_ERRORS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def make_progress() -> Progress:
    """Return bars if standard error is a terminal, else log lines."""
    return BarProgress() if sys.stderr.isatty() else Progress()


def check_output(path: str | None, *, option: str = "--out") -> None:
    """Check before the work that the output file of a command can be written.

    Args:
        path: As for ``open_output``; a file there is not changed.
        option: As for ``open_output``.

    Raises:
        ConfigError: The file cannot be written.
    """
    if path is None or is_stream(Path(path)):
        return
    missing = not os.path.exists(path)
    try:
        with open(path, "a"):
            pass
        if missing:
            os.unlink(os.path.realpath(path))  # not a link to it
    except OSError as error:
        raise ConfigError(f"{option}: cannot write {path}: {error.strerror}") from error


@contextmanager
def open_output(path: str | None, *, option: str = "--out") -> Iterator[TextIO]:
    """Open the output file of a command, or standard output.

    An earlier file is replaced when the new one is complete, and stays if the block fails or a
    signal ends it.

    Args:
        path: Path of the file; None: standard output.
        option: Option that named the path, for the error message.

    Raises:
        ConfigError: The file cannot be written.
        ResultsError: The disk is full, or failed.
    """
    if path is None or _is_standard_output(path):
        stop_without_output()
        yield sys.stdout
        return
    try:
        with (
            Signals(at_once=True),
            replaced_file(Path(path)) as part,
            part.open("w", newline="", encoding="utf-8") as file,
        ):
            yield file
    except ConnectionError:  # to Spark
        raise
    except OSError as error:
        # Not a wrong call.
        if error.errno in _DISK_ERRORS:
            raise ResultsError(f"{option}: writing {path} failed: {error.strerror}") from error
        raise ConfigError(f"{option}: cannot write {path}: {error.strerror}") from error


def _is_standard_output(path: str) -> bool:
    """Return whether a path such as ``/dev/stdout`` leads to this process's standard output.

    That may be a file to which the shell appends, which must not be replaced.
    """
    try:
        return os.path.samestat(os.stat(path), os.fstat(1))
    except OSError:
        return False
