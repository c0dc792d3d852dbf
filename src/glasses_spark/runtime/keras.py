"""Keras and TensorFlow: imported late, quietly, and on no more threads than they were given."""

from __future__ import annotations

import gc
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, TextIO

logger = logging.getLogger(__name__)

# Keras imports them where they are installed, for adapters that this library does not use:
# half of the time that its own import takes.
_ADAPTED_TO: Final = ("IPython", "matplotlib", "scipy", "sklearn")


def import_keras(*, threads: int | None = None) -> Any:
    """Import Keras over TensorFlow, without the noise that TensorFlow makes on the way.

    Importing takes seconds, so every module of this library that needs Keras
    asks here, inside the function that needs it, and not when it is imported.

    Args:
        threads: Threads that one operation may use, at least 1. It counts from
            the first import in a process on; a later, other wish is ignored
            with a note in the log, as TensorFlow cannot change it any more.
            None leaves TensorFlow's own choice: every core.

    Returns:
        The module ``keras``.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Elephas and the steps of training speak to TensorFlow itself.
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    with _native_stderr_closed(), collector_paused():
        import keras
        import tensorflow as tf
    if threads is not None:
        try:
            tf.config.threading.set_intra_op_parallelism_threads(threads)
            # The steps of a model follow one another; a second pool would only compete.
            tf.config.threading.set_inter_op_parallelism_threads(1)
        except RuntimeError:
            found = tf.config.threading.get_intra_op_parallelism_threads()
            logger.debug("TensorFlow already runs on %d threads, not on %d", found, threads)
    return keras


def import_bare_keras() -> Any:
    """Import Keras without the packages that it only offers adapters for.

    For processes that run this library's own code, where ``keras.wrappers`` and
    ``keras.utils.plot_model`` are not used. The packages themselves can be imported
    afterwards as ever; while this runs, another thread must not import one of them.

    Returns:
        The module ``keras``.
    """
    absent = [name for name in _ADAPTED_TO if name not in sys.modules]
    # The mark by which Python refuses an import at once.
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        return import_keras()
    finally:
        for name in absent:
            del sys.modules[name]


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep Python from looking for garbage among the half million objects of an import.

    It does so each time their number has grown by a quarter, which takes a fifth of the
    time of importing TensorFlow, and finds nothing.
    """
    if not gc.isenabled():  # by the user, or by another thread that imports
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@contextmanager
def _native_stderr_closed() -> Iterator[None]:
    """Send file descriptor 2 to nowhere, for what C++ writes before it reads any log level.

    Python's own standard error goes on to where it went: other threads may use it meanwhile.
    """
    if os.environ.get("GLASSES_SPARK_NATIVE_STDERR") or "tensorflow" in sys.modules:
        yield
        return
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # no such descriptor: there is nothing to keep quiet
        yield
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    theirs, ours = sys.stderr, None
    if _is_descriptor_2(theirs):
        # Never closed: absl's log handler, made by this import, writes to it ever after, and
        # would write into whatever got the number next, such as Spark's socket.
        ours = open(kept, "w", buffering=1, encoding=theirs.encoding, closefd=False)  # noqa: SIM115
        sys.stderr = ours
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        if ours is None:
            os.close(kept)
        else:
            ours.flush()
            # Another thread may have put a third one in its place meanwhile.
            if sys.stderr is ours:
                sys.stderr = theirs


def _is_descriptor_2(stream: TextIO) -> bool:
    # What a notebook or a test puts in its place is something else.
    try:
        return stream.fileno() == 2
    except (OSError, ValueError):
        return False
