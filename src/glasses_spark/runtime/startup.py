"""Start-up optimizations: changes to how processes start, and the variables that disable them.

Each is on by default. The value 0 of its variable, set before Spark starts, disables it.
``docs/performance.md`` lists what each saves.
"""

from __future__ import annotations

import os
from enum import StrEnum


class Optimization(StrEnum):
    """A start-up optimization; the value is the environment variable that disables it.

    Attributes:
        JVM_OPTIONS: Options for a short-lived JVM in local mode (``spark_settings``).
        CLASS_ARCHIVE: Loaded Java classes, stored for the next JVM (``class_archive``).
        DAEMON: A Python daemon that imports packages once for all workers
            (``python_workers.daemon``).
        FORK_SERVER: A process that imports TensorFlow before Spark needs a worker
            (``python_workers.fork_server``).
        WARM_UP: Imports in the driver and the workers while Spark lists the images
            (``python_workers.warm_up``).
        EARLY_IMPORT: Imports of a command while the JVM starts (``early_import``).
        TASK_START: Installed pyspark instead of its archives, and prompt acknowledgements, in
            Python workers (``python_workers.task_start``).
        BARE_KERAS: Keras without its optional packages in daemons and commands (``keras``).
        QUICK_EXIT: A command ends without deleting its objects (``cli.main``).
        PAUSE_GC: No garbage collection during imports (``garbage``).
    """

    JVM_OPTIONS = "GLASSES_SPARK_JVM_OPTIONS"
    CLASS_ARCHIVE = "GLASSES_SPARK_CLASS_ARCHIVE"
    DAEMON = "GLASSES_SPARK_DAEMON"
    FORK_SERVER = "GLASSES_SPARK_FORK_SERVER"
    WARM_UP = "GLASSES_SPARK_WARM_UP"
    EARLY_IMPORT = "GLASSES_SPARK_EARLY_IMPORT"
    TASK_START = "GLASSES_SPARK_TASK_START"
    BARE_KERAS = "GLASSES_SPARK_BARE_KERAS"
    QUICK_EXIT = "GLASSES_SPARK_QUICK_EXIT"
    PAUSE_GC = "GLASSES_SPARK_PAUSE_GC"


def is_enabled(optimization: Optimization) -> bool:
    """Return whether an optimization is on: its variable is unset, or not ``0``."""
    return os.environ.get(optimization) != "0"
