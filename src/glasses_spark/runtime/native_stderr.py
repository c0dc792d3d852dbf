"""Native stderr: redirect file descriptor 2 in processes that belong to this package.

TensorFlow's C++ code writes to file descriptor 2 before it reads any log level. Only a
redirected descriptor keeps that off a terminal. The descriptor belongs to the process, so
only the command line and the Python workers, which own their process, ask for it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TextIO

# "0": an import of TensorFlow discards what native code writes. Anything else, or unset:
# file descriptor 2 is left alone.
VARIABLE: Final = "GLASSES_SPARK_NATIVE_STDERR"


def discard_native_stderr() -> None:
    """Let later imports of TensorFlow in this process, and in its children, be silent.

    For a process that this package owns. The user's own value of `VARIABLE` wins.
    """
    os.environ.setdefault(VARIABLE, "0")


@contextmanager
def native_stderr_discarded() -> Iterator[None]:
    """Send file descriptor 2 to ``os.devnull`` within the block, if this process asked for it.

    Python's own ``sys.stderr`` still reaches its target, as other threads may use it.
    """
    if os.environ.get(VARIABLE) != "0":
        yield
        return
    sys.stderr.flush()
    try:
        copy = os.dup(2)
    except OSError:  # the descriptor is closed
        yield
        return
    original, substitute = sys.stderr, None
    if _is_descriptor_2(original):
        # Never closed: absl's log handler, created by this import, writes to it later. With
        # the descriptor closed it would write into whatever file gets the number next.
        substitute = open(copy, "w", buffering=1, encoding=original.encoding, closefd=False)  # noqa: SIM115
        sys.stderr = substitute
    devnull = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(devnull, 2)
        yield
    finally:
        os.dup2(copy, 2)
        os.close(devnull)
        if substitute is None:
            os.close(copy)
        else:
            substitute.flush()
            # Another thread may have replaced it in the meantime.
            if sys.stderr is substitute:
                sys.stderr = original


def _is_descriptor_2(stream: TextIO) -> bool:
    # Notebooks and pytest replace sys.stderr by streams without this descriptor.
    try:
        return stream.fileno() == 2
    except (OSError, ValueError):
        return False
