"""Spark settings: the defaults of sessions that are started here."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from glasses_spark.runtime.machine import LOOPBACK, total_memory
from glasses_spark.runtime.workers import is_local_master

# pyspark is imported inside the functions: an external Spark, named by
# SPARK_HOME, brings its own, and findspark must come first.
if TYPE_CHECKING:
    from pyspark import SparkConf

LOG_SETTINGS = Path(__file__).with_name("log4j2.properties")
ARROW_BATCH = "spark.sql.execution.arrow.maxRecordsPerBatch"

# Rows in one Arrow batch between the JVM and Python. A row can hold an image of
# 1.2 MB: 64 of them are 77 MB, where Spark's default of 10,000 would be 12 GB.
# Fewer would gain little memory and cost more round trips.
ARROW_BATCH_ROWS = "64"

# And this many bytes, whichever is reached first: for images larger than those.
ARROW_BATCH_BYTES = str(64 * 2**20)

# Rows that Spark decodes from Parquet at a time: of 16 KB each, its default of 4,096
# would be 64 MB in each task.
PARQUET_BATCH_ROWS = "256"

# In local mode the JVM plans, moves bytes and waits for Python, most of it once: what
# the second compiler would gain in speed it would take in time, on the cores that train.
# The collector is the one that starts fastest of those that use several cores.
# On 2 cores the demo ends in 53 to 57 s with these, in 63 to 66 s without.
LOCAL_JVM_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseParallelGC"


def launch_settings(
    master: str | None, conf: Mapping[str, str], log_level: str, java_options: Sequence[str]
) -> dict[str, str]:
    """Give the settings that only count if the JVM is started with them."""
    # The bars of this library's own commands would be torn apart by Spark's,
    # which spark-submit turns on for every shell that does not decline.
    settings = {"spark.ui.showConsoleProgress": "false"}
    java_options = list(java_options)
    if is_local_master(master):
        settings["spark.driver.memory"] = _driver_memory()
        java_options.append(LOCAL_JVM_OPTIONS)
    if not _has_own_log_settings():
        level = log_level.lower()
        java_options += [
            f"-Dlog4j2.configurationFile={LOG_SETTINGS.as_uri()}",
            f"-Dglassesspark.log.root={level}",
            f"-Dglassesspark.log.tasks={'off' if level == 'error' else level}",
        ]
    if java_options:
        settings["spark.driver.extraJavaOptions"] = " ".join(java_options)
    settings = {key: settings[key] for key in settings.keys() - _keys_in_defaults_file()}
    settings.update(conf)
    if master:
        settings["spark.master"] = master
    return settings


def session_settings(
    master: str | None, app_name: str, conf: Mapping[str, str], *, ui: bool, submitted: bool
) -> SparkConf:
    """Give what the JVM was started with, filled up with what is asked for and with defaults."""
    from pyspark import SparkConf

    settings = SparkConf()
    asked = {"spark.master": master, **conf} if master else dict(conf)
    for key, value in asked.items():
        if submitted:
            settings.setIfMissing(key, value)
        else:
            settings.set(key, value)
    settings.setIfMissing("spark.master", "local[*]")

    # A name is always set, by spark-submit from the script's and by pyspark from its shell's.
    if not submitted and "spark.app.name" not in conf:
        settings.set("spark.app.name", app_name)
    defaults = {
        ARROW_BATCH: ARROW_BATCH_ROWS,
        "spark.sql.execution.arrow.maxBytesPerBatch": ARROW_BATCH_BYTES,
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.parquet.columnarReaderBatchSize": PARQUET_BATCH_ROWS,
        # Else each function of PySpark makes five calls more to the JVM, so that an error
        # may name the line of Python that a column came from.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
        "spark.ui.enabled": str(ui).lower(),
        "spark.ui.showConsoleProgress": "false",
    }
    if is_local_master(settings.get("spark.master")):
        defaults |= {"spark.driver.host": LOOPBACK, "spark.driver.bindAddress": LOOPBACK}
        defaults["spark.sql.shuffle.partitions"] = str(_shuffle_partitions())
        if not submitted:
            # What spark-submit ships comes to a worker after its daemon has started.
            defaults["spark.python.daemon.module"] = "glasses_spark.runtime.python_workers.daemon"
        # Spark would start its workers with the first python3 on PATH.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    for key, value in defaults.items():
        settings.setIfMissing(key, value)
    return settings


def _driver_memory() -> str:
    """A quarter of the machine, 1 to 4 GiB: in local mode the tasks share the driver's JVM.

    Spark's own 1 GiB is little for batches of images in all cores at once; the
    rest of the machine is for TensorFlow, which works outside the JVM.
    """
    return f"{min(max(total_memory() // 4, 2**30), 2**32) // 2**20}m"


def _shuffle_partitions() -> int:
    """Two a core: Spark's 200 are for clusters, and cost a second of empty tasks a shuffle."""
    return 2 * (os.cpu_count() or 1)


def _has_own_log_settings() -> bool:
    folder = _spark_conf_folder()
    return folder is not None and any(folder.glob("log4j2.*"))


def _keys_in_defaults_file() -> set[str]:
    """Read the names that the user's spark-defaults.conf sets.

    Spark reads it too, but puts what it is started with before it.
    """
    folder = _spark_conf_folder()
    path = folder / "spark-defaults.conf" if folder else None
    if path is None or not path.is_file():
        return set()
    lines = (line.strip() for line in path.read_text().splitlines())
    return {line.replace("=", " ").split()[0] for line in lines if line and line[0] != "#"}


def _spark_conf_folder() -> Path | None:
    if os.environ.get("SPARK_CONF_DIR"):
        return Path(os.environ["SPARK_CONF_DIR"])
    home = os.environ.get("SPARK_HOME")
    return Path(home) / "conf" if home else None
