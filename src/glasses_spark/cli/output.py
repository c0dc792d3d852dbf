"""Output of a command: a file or standard output, and the display of progress."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from glasses_spark.errors import ConfigError
from glasses_spark.runtime.progress import BarProgress, Progress


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
    if path is None or _is_stream(path):
        return
    missing = not os.path.exists(path)
    try:
        with open(path, "a"):
            pass
        if missing:
            os.unlink(path)
    except OSError as error:
        raise _cannot_write(path, option, error) from error


@contextmanager
def open_output(path: str | None, *, option: str = "--out") -> Iterator[TextIO]:
    """Open the output file of a command, or standard output.

    An earlier file is replaced when the new one is complete, and stays if the block fails.

    Args:
        path: Path of the file; None: standard output.
        option: Option that named the path, for the error message.

    Raises:
        ConfigError: The file cannot be written.
    """
    if path is None:
        yield sys.stdout
        return
    target = Path(os.path.realpath(path))
    part = target.with_name(f".{target.name}.part")
    try:
        if _is_stream(path):
            part = target
        file = part.open("w", newline="", encoding="utf-8")
    except OSError as error:
        raise _cannot_write(path, option, error) from error
    try:
        with file:
            yield file
        if part != target:
            if target.exists():
                shutil.copymode(target, part)
            part.replace(target)
    finally:
        if part != target:
            part.unlink(missing_ok=True)


def _is_stream(path: str) -> bool:
    """Return whether a path is a pipe or device, such as ``/dev/stdout``."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def _cannot_write(path: str, option: str, error: OSError) -> ConfigError:
    return ConfigError(f"{option}: cannot write {path}: {error.strerror}")
