"""Spark settings: the defaults of the sessions that this package starts."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from glasses_spark.notebook_html import is_secret
from glasses_spark.runtime.machine import LOOPBACK, count_cores, total_memory
from glasses_spark.runtime.master import DEFAULT_MASTER, is_on_this_machine, with_retries
from glasses_spark.runtime.startup import Optimization, is_enabled

# pyspark is imported inside the functions: an external Spark, named by
# SPARK_HOME, brings its own, and findspark must come first.
if TYPE_CHECKING:
    from pyspark import SparkConf

LOG_SETTINGS: Final = Path(__file__).with_name("log4j2.properties")
ARROW_BATCH: Final = "spark.sql.execution.arrow.maxRecordsPerBatch"

# Rows in one Arrow batch between the JVM and Python. A row can hold an image of 1.2 MB: 64
# rows are 77 MB, Spark's default of 10,000 would be 12 GB. Fewer rows would save little
# memory and cost more round trips.
ARROW_BATCH_ROWS: Final = "64"

# Limit for batches of larger images; whichever limit is reached first applies.
ARROW_BATCH_BYTES: Final = str(64 * 2**20)

# Rows that Spark decodes from Parquet at a time. A row has 16 KB of pixels: Spark's default
# of 4,096 rows would be 64 MB in each task.
PARQUET_BATCH_ROWS: Final = "256"

DAEMON_SETTING: Final = "spark.python.daemon.module"
DAEMON_MODULE: Final = "glasses_spark.runtime.python_workers.daemon"

# Python looks into the current folder last, not first: there a user's random.py would hide
# Python's own. The daemon adds the folder.
SAFE_PATH: Final = "PYTHONSAFEPATH"
SAFE_PATH_SETTING: Final = f"spark.executorEnv.{SAFE_PATH}"

# In local mode the JVM plans, moves bytes and waits for Python. C2 costs more CPU than it
# saves in a short run, and the parallel collector starts faster than G1.
LOCAL_JVM_OPTIONS: Final = "-XX:TieredStopAtLevel=1 -XX:+UseParallelGC"


# How many jobs, stages and queries Spark keeps for pages that it does not serve.
_KEPT_FOR_PAGES: Final = 100
_KEPT: Final = (
    "spark.ui.retainedJobs",
    "spark.ui.retainedStages",
    "spark.sql.ui.retainedExecutions",
)


def launch_settings(
    master: str | None,
    conf: Mapping[str, str],
    log_level: str,
    java_options: Sequence[str],
    *,
    temporary: Path | None = None,
) -> dict[str, str]:
    """Return the settings that have an effect only at the start of the JVM.

    Args:
        master: Spark master; None or empty: the default.
        conf: The caller's settings, which take precedence.
        log_level: log4j level of what the JVM prints.
        java_options: Further options of the JVM.
        temporary: Folder for its temporary files and, where the user has named no other, those
            of Spark; None for Java's default.
    """
    # Spark's progress bar, which spark-submit enables for every shell, would break up the
    # bars of this package's commands.
    settings = {"spark.ui.showConsoleProgress": "false"}
    java_options = list(java_options)
    if is_on_this_machine(master):
        settings["spark.driver.memory"] = _driver_memory()
        if is_enabled(Optimization.JVM_OPTIONS):
            java_options.append(LOCAL_JVM_OPTIONS)
    if not _has_own_log_settings():
        level = log_level.lower()
        java_options += [
            f"-Dlog4j2.configurationFile={LOG_SETTINGS.as_uri()}",
            f"-Dglassesspark.log.root={level}",
            f"-Dglassesspark.log.tasks={'off' if level == 'error' else level}",
        ]
    if temporary is not None:
        # Quoted, because Spark splits the options at white space. Not in the other options,
        # which the user's replace.
        settings["spark.driver.defaultJavaOptions"] = f'"-Djava.io.tmpdir={temporary}"'
    if java_options:
        settings["spark.driver.extraJavaOptions"] = " ".join(java_options)
    settings = {key: settings[key] for key in settings.keys() - _keys_in_defaults_file()}
    # Not the secrets: these settings are on the command line of the JVM, which everybody on the
    # machine can read. The session gets them later, with all others.
    settings.update({key: value for key, value in conf.items() if not is_secret(key)})
    if master:
        settings["spark.master"] = master
    return settings


def session_settings(
    master: str | None, app_name: str, conf: Mapping[str, str], *, ui: bool, submitted: bool
) -> SparkConf:
    """Return the JVM's settings, completed by the caller's settings and by defaults.

    Args:
        master: Spark master; None or empty: the submitter's, else the default.
        app_name: Name of the application.
        conf: The caller's settings.
        ui: Whether Spark serves its web pages.
        submitted: Whether spark-submit started this process; its settings take precedence.
    """
    from pyspark import SparkConf

    settings = SparkConf()
    requested = {"spark.master": master, **conf} if master else dict(conf)
    for key, value in requested.items():
        if submitted:
            settings.setIfMissing(key, value)
        else:
            settings.set(key, value)
    settings.setIfMissing("spark.master", DEFAULT_MASTER)
    if not submitted:
        settings.set("spark.master", with_retries(str(settings.get("spark.master"))))

    # A name is always set, by spark-submit or by pyspark's shell.
    if not submitted and "spark.app.name" not in conf:
        settings.set("spark.app.name", app_name)
    local = is_on_this_machine(settings.get("spark.master"))
    defaults = _default_settings(local=local, ui=ui, submitted=submitted)
    for key, value in defaults.items():
        settings.setIfMissing(key, value)
    if settings.get(DAEMON_SETTING, None) == DAEMON_MODULE:
        settings.setIfMissing(SAFE_PATH_SETTING, "1")
    if local:
        # Spark's default is the first python3 on PATH.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    return settings


def _default_settings(*, local: bool, ui: bool, submitted: bool) -> dict[str, str]:
    defaults = {
        ARROW_BATCH: ARROW_BATCH_ROWS,
        "spark.sql.execution.arrow.maxBytesPerBatch": ARROW_BATCH_BYTES,
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.parquet.columnarReaderBatchSize": PARQUET_BATCH_ROWS,
        # Saves five calls to the JVM for each PySpark function. Errors do not name the
        # line of Python that created a column.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
        "spark.ui.enabled": str(ui).lower(),
        "spark.ui.showConsoleProgress": "false",
    }
    if not ui:
        # What Spark keeps for its pages: 200 MB after some hundred fits.
        defaults |= {name: str(_KEPT_FOR_PAGES) for name in _KEPT}
    if local:
        defaults |= {"spark.driver.host": LOOPBACK, "spark.driver.bindAddress": LOOPBACK}
        defaults["spark.sql.shuffle.partitions"] = str(_shuffle_partitions())
        # Files that spark-submit ships reach a worker after its daemon has started.
        if not submitted and is_enabled(Optimization.DAEMON):
            defaults[DAEMON_SETTING] = DAEMON_MODULE
    return defaults


def _driver_memory() -> str:
    """Return a quarter of the machine's memory, from 1 to 4 GiB.

    In local mode the tasks share the driver's JVM, and Spark's default of 1 GiB is too
    little for batches of images on all cores. TensorFlow uses memory outside the JVM.
    """
    return f"{min(max(total_memory() // 4, 2**30), 2**32) // 2**20}m"


def _shuffle_partitions() -> int:
    """Return two partitions for each core: Spark's default of 200 suits clusters."""
    return 2 * count_cores()


def _has_own_log_settings() -> bool:
    folder = _spark_conf_folder()
    return folder is not None and any(folder.glob("log4j2.*"))


def _keys_in_defaults_file() -> set[str]:
    """Return the keys that the user's spark-defaults.conf sets.

    Spark's own reading of the file has lower precedence than its start settings.
    """
    folder = _spark_conf_folder()
    path = folder / "spark-defaults.conf" if folder else None
    if path is None or not path.is_file():
        return set()
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:  # Spark says what is wrong with it
        return set()
    lines = (line.strip() for line in text.splitlines())
    return {line.replace("=", " ").split()[0] for line in lines if line and line[0] != "#"}


def _spark_conf_folder() -> Path | None:
    if os.environ.get("SPARK_CONF_DIR"):
        return Path(os.environ["SPARK_CONF_DIR"])
    home = os.environ.get("SPARK_HOME")
    return Path(home) / "conf" if home else None
