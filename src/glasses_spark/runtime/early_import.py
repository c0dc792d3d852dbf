"""Early imports: import packages in a thread while the JVM starts."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from glasses_spark.runtime.startup import Optimization, is_enabled

logger = logging.getLogger(__name__)


@contextmanager
def imported_during(imports: Callable[[], object] | None) -> Iterator[None]:
    """Run imports in a thread, from the block's first fork or from its end on.

    Nothing waits for them: code that needs a package earlier waits for its import. If the
    block ends with an error, an import that has not begun is left out.

    Args:
        imports: Function that imports; None imports nothing.
    """
    if imports is None or not is_enabled(Optimization.EARLY_IMPORT):
        yield
        return

    # Set when this process has forked another one, such as the JVM.
    forked, failed = threading.Event(), threading.Event()
    os.register_at_fork(after_in_parent=forked.set)

    def wait_and_import() -> None:
        # Before the fork, the JVM would inherit a file descriptor 2 that is redirected
        # during the import of TensorFlow.
        forked.wait()
        if failed.is_set():
            # An import redirects file descriptor 2, and could swallow the message of the error.
            return
        try:
            imports()
        except Exception as error:
            # Code that needs the package raises the error again.
            logger.debug("import during the start of Spark: %s", error)

    # Not a daemon thread: an interpreter cannot end well in the middle of an import.
    threading.Thread(target=wait_and_import, name="early-import").start()
    try:
        yield
    except BaseException:
        failed.set()
        raise
    finally:
        forked.set()
