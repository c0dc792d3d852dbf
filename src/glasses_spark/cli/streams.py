"""Standard streams: closed, without space, or of an encoding that lacks characters."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
from typing import TextIO

logger = logging.getLogger(__name__)


class OutputError(OSError):
    """Standard output cannot be written.

    Attributes:
        is_closed: Whether its reader has closed it, as in ``glasses-spark predict ... | head``.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(f"standard output cannot be written: {error.strerror}")
        self.is_closed = error.errno == errno.EPIPE


class _Stream(io.TextIOWrapper):
    """A standard stream that takes any text.

    Args:
        original: The stream that it replaces, which must live as long: it would close the file.
    """

    def __init__(self, original: TextIO) -> None:
        super().__init__(
            original.buffer,
            encoding=original.encoding,
            errors="backslashreplace",
            line_buffering=bool(original.line_buffering),
            write_through=getattr(original, "write_through", False),  # PYTHONUNBUFFERED
        )
        self._original = original

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError as error:
            self.lose(error)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError as error:
            self.lose(error)

    def lose(self, error: OSError) -> None:
        """Send what follows to ``os.devnull``, so that nothing fails again, up to the exit."""
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, self.fileno())
        os.close(devnull)


class _Output(_Stream):
    """Standard output. What a run prints on its way must not end it.

    Attributes:
        failure: The first error, until `print_summary` has reported it; None without one.
        is_strict: Whether to raise it at once, because the output is all that a command does.
    """

    failure: OutputError | None = None
    is_strict = False

    def lose(self, error: OSError) -> None:
        super().lose(error)
        self.failure = OutputError(error)
        if self.is_strict:
            raise self.failure


def prepare_streams() -> None:
    """Let this process, and those that it starts, have standard streams that take any text.

    Streams that are closed become ``os.devnull``: a file that is opened later would get their
    number, and what native code prints. Characters that an encoding lacks are escaped.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number
    # Standard error never fails: a terminal may be closed while a run goes on.
    sys.stdout = _Output(sys.stdout or open(1, "w", closefd=False))  # noqa: SIM115
    sys.stderr = _Stream(sys.stderr or open(2, "w", buffering=1, closefd=False))  # noqa: SIM115


def print_summary(text: str) -> None:
    """Print a summary of results that are kept elsewhere, if standard output can be written."""
    print(text, flush=True)
    output = sys.stdout
    if isinstance(output, _Output) and output.failure is not None:
        if not output.failure.is_closed:
            logger.warning("%s", output.failure)
        output.failure = None


def require_output() -> None:
    """Raise an `OutputError` if something printed was lost."""
    if isinstance(sys.stdout, _Output) and sys.stdout.failure is not None:
        raise sys.stdout.failure


def stop_without_output() -> None:
    """Let the command end as soon as nobody can read what it prints."""
    if isinstance(sys.stdout, _Output):
        sys.stdout.is_strict = True
