"""Settings of a Python worker that it applies itself, in a task.

Under Spark Connect, and in functions of SQL, the driver does not choose the environment of the
workers. Elsewhere it does, see `workers.worker_environment`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from glasses_spark.runtime.keras_settings import BACKEND_VARIABLE, TENSORFLOW
from glasses_spark.runtime.machine import count_cores
from glasses_spark.runtime.native_stderr import discard_native_stderr
from glasses_spark.runtime.task_slots import task_cpus
from glasses_spark.runtime.workers import THREADS_VARIABLE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class ProcessSettings:
    """Settings of the processes that train or score.

    Attributes:
        at_once: Number of these processes that share the machine; None on a cluster.
        task_cpus: Cores that Spark counts for a task.
    """

    at_once: int | None
    task_cpus: int

    @classmethod
    def of(cls, spark: SparkSession, *, at_once: int | None) -> ProcessSettings:
        """Return the settings for the tasks of a session."""
        return cls(at_once, task_cpus(lambda key: spark.conf.get(key, None)))

    @property
    def threads(self) -> int:
        """Number of threads that TensorFlow may use in this process, at least 1."""
        if self.at_once is None:
            return self.task_cpus
        return max(1, count_cores() // self.at_once)

    def apply(self) -> None:
        """Set them in this process, before it imports TensorFlow."""
        os.environ[THREADS_VARIABLE] = str(self.threads)
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        # Whatever the machine of the worker has in its keras.json.
        os.environ[BACKEND_VARIABLE] = TENSORFLOW
        discard_native_stderr()
