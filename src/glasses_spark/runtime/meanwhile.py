"""Meanwhile: work in a thread while the JVM starts."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

# How long a busy thread keeps the interpreter to itself while Spark starts. Each of the
# hundreds of small calls to the JVM that this takes would else wait for Python's 5 ms.
_SHORT_SWITCH_S = 0.0005

# Set when this process has forked another, such as the JVM.
_forked = threading.Event()


os.register_at_fork(after_in_parent=_forked.set)


@contextmanager
def run_beside(work: Callable[[], object] | None) -> Iterator[None]:
    """Begin ``work`` as soon as the block has forked a process, or has ended."""

    def wait_and_work() -> None:
        # Not before: the JVM would get the files that it finds, and an import of
        # TensorFlow sends standard error to nowhere for its time.
        _forked.wait()
        assert work is not None
        kept = sys.getswitchinterval()
        sys.setswitchinterval(_SHORT_SWITCH_S)
        try:
            work()
        except Exception as error:  # who needs what it does will hear of it again
            logger.debug("beside the start of Spark: %s", error)
        finally:
            sys.setswitchinterval(kept)

    if work is None:
        yield
        return
    _forked.clear()
    # Not a daemon thread: an interpreter cannot end well in the middle of an import.
    threading.Thread(target=wait_and_work, name="meanwhile").start()
    try:
        yield
    finally:
        _forked.set()
