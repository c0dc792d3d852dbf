"""Files of broadcasts: removed when Spark no longer needs them.

PySpark writes the value of each broadcast to a file on the driver, which the tasks of local mode
read, and removes it when the program calls ``destroy`` or ends. A frame that uses a broadcast may
be computed at any time as long as it exists. Only the JVM knows that it no longer does.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark import Broadcast, SparkContext

_lock = threading.Lock()
# A weak reference in the JVM to each broadcast, and the path of its file.
_files: list[tuple[Any, str]] = []


def broadcast(context: SparkContext, value: Any) -> Broadcast[Any]:
    """Broadcast a value, and remove the files of earlier ones that the JVM has collected."""
    from pyspark import SparkContext

    remove_unused_files()
    shared = context.broadcast(value)
    jvm = SparkContext._jvm
    if jvm is not None and shared._path is not None:
        reference = jvm.java.lang.ref.WeakReference(shared._jbroadcast)
        with _lock:
            _files.append((reference, str(shared._path)))
    return shared


def remove_unused_files() -> None:
    """Remove the files of broadcasts that the JVM has collected."""
    with _lock:
        files = list(_files)
    for entry in files:
        reference, path = entry
        try:
            if reference.get() is not None:
                continue
            with suppress(OSError):
                os.unlink(path)
        except Exception:
            # The JVM has ended, and Spark removes its folder. Whether a file is still used is not
            # known, so it stays.
            pass
        with _lock, suppress(ValueError):
            _files.remove(entry)
