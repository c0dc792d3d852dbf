"""Interruption: Ctrl-C while Spark works."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

from glasses_spark.runtime.connect import is_connect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Jobs need a moment to end. The cancellation is repeated until the block has ended.
_RETRY_SECONDS: Final = 1.0


@contextmanager
def interruptible(spark: SparkSession) -> Iterator[None]:
    """Let Ctrl-C end a block that works with Spark.

    PySpark's own handler cancels the jobs over the connection on which the interrupted call
    still waits for its answer, and fails with several tracebacks. This one cancels the jobs
    from another thread, so that the call ends by itself. Python code is interrupted as usual.

    Args:
        spark: Session whose jobs are cancelled.

    Raises:
        KeyboardInterrupt: The block was interrupted, whatever error it ended with.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread receives signals
        return
    if is_connect(spark):
        # The interrupted call is one of Python, but the server would go on.
        try:
            yield
        except KeyboardInterrupt:
            spark.interruptAll()
            raise
        return

    interrupted, ended = threading.Event(), threading.Event()
    main_thread = threading.main_thread().ident
    assert main_thread is not None  # it has started

    def cancel() -> None:
        while not ended.is_set():
            spark.sparkContext.cancelAllJobs()
            if not ended.wait(_RETRY_SECONDS):
                signal.pthread_kill(main_thread, signal.SIGINT)

    def handle(number: int, frame: FrameType | None) -> None:
        if ended.is_set() or not _waits_for_spark(frame):
            ended.set()
            raise KeyboardInterrupt
        if not interrupted.is_set():
            interrupted.set()
            threading.Thread(target=cancel, name="cancel-jobs", daemon=True).start()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
        if interrupted.is_set():
            raise KeyboardInterrupt
    except Exception as error:
        ended.set()
        if not interrupted.is_set():
            raise
        # Cancelled tasks end a little after their job. If Spark is stopped before that, it
        # prints a stack trace for each of them.
        time.sleep(_RETRY_SECONDS)
        raise KeyboardInterrupt from error
    finally:
        ended.set()
        signal.signal(signal.SIGINT, before)


def _waits_for_spark(frame: FrameType | None) -> bool:
    """Return whether the interrupted code is a call into Spark's JVM."""
    while frame is not None:
        if "py4j" in Path(frame.f_code.co_filename).parts:
            return True
        frame = frame.f_back
    return False
