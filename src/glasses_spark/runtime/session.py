"""Session: start a SparkSession, or use the running one."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from glasses_spark.errors import SetupError
from glasses_spark.extras import require_extra
from glasses_spark.runtime.artifacts_folder import without_artifacts_folder
from glasses_spark.runtime.class_archive import archive_options
from glasses_spark.runtime.connect import has_connect_session, uses_connect
from glasses_spark.runtime.early_import import imported_during
from glasses_spark.runtime.file_name_encoding import utf8_file_names
from glasses_spark.runtime.gateway import start_gateway
from glasses_spark.runtime.hidden_modules import imports_explained
from glasses_spark.runtime.java import Java, ensure_java, find_java, launcher_home
from glasses_spark.runtime.machine import LOOPBACK
from glasses_spark.runtime.master import is_local_master, is_on_this_machine, with_retries
from glasses_spark.runtime.nameless_user import log_in, user_options
from glasses_spark.runtime.owned_folder import process_folder, remove_abandoned_folders
from glasses_spark.runtime.place import complete_submit_arguments, require_place
from glasses_spark.runtime.spark_home import check_pyspark, find_external_spark
from glasses_spark.runtime.spark_settings import (
    ARROW_BATCH,
    ARROW_BATCH_ROWS,
    launch_settings,
    session_settings,
)

# pyspark is imported inside the functions: an external Spark, named by
# SPARK_HOME, brings its own, and findspark must come first.
if TYPE_CHECKING:
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)

_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})


def build_session(
    *,
    master: str | None = None,
    app_name: str = "glasses-spark",
    conf: Mapping[str, str] = _NO_SETTINGS,
    ui: bool = False,
    log_level: str = "ERROR",
    keep_classes: bool = False,
    imports: Callable[[], object] | None = None,
) -> SparkSession:
    """Return the running SparkSession, or start one.

    A running session is returned as it is. Under ``spark-submit`` the submitter's master
    and settings take precedence, and the arguments fill in what is not set. Otherwise
    ``conf`` takes precedence over ``PYSPARK_SUBMIT_ARGS`` and ``spark-defaults.conf``, and
    these over the defaults of this package. With ``SPARK_HOME`` set, that Spark is used,
    through findspark. With ``SPARK_REMOTE`` set, the session is one of Spark Connect, whose
    server has its own settings.

    Args:
        master: Spark master such as ``local[4]`` or ``spark://host:7077``;
            None or empty: the submitter's, else ``local[*]``. ``local[N]`` becomes
            ``local[N,4]``: Spark tries a task 4 times, as on a cluster.
        app_name: Name shown in Spark's UI and on the cluster.
        conf: Settings by their full names, such as ``spark.executor.memory``.
        ui: Whether Spark serves its web pages while it runs.
        log_level: log4j level of what the JVM prints, if this function starts it. At
            ``ERROR`` failed tasks are not printed: they raise exceptions in Python.
        keep_classes: Whether a JVM that this function starts for local mode may store its
            loaded classes for later JVMs: for work that loads most of Spark's classes.
        imports: Function that imports packages, called in a thread while the JVM starts.

    Returns:
        The session. The caller stops it; ``spark_session`` does so itself.

    Raises:
        SetupError: Java or Spark is missing or has an unsupported version, a folder that
            Spark needs cannot be written, or Spark does not start.
    """
    submitted = _is_submitted()
    if not submitted:
        find_external_spark()
    with imports_explained():
        check_pyspark()
    if uses_connect():
        require_extra("grpc_status", extra="connect", purpose="Spark Connect")
        if is_local_master(os.environ.get("SPARK_REMOTE") or "sc:"):
            ensure_java()  # for a server in this process
        return _running_session(conf)
    if _is_running():
        return _running_session(conf)

    require_place(conf)
    with imported_during(imports):
        _start_jvm(master, conf, log_level, keep_classes=keep_classes)
    settings = session_settings(master, app_name, conf, ui=ui, submitted=submitted)
    return _start_session(settings)


@contextmanager
def spark_session(
    *,
    master: str | None = None,
    app_name: str = "glasses-spark",
    conf: Mapping[str, str] = _NO_SETTINGS,
    ui: bool = False,
    log_level: str = "ERROR",
    keep_classes: bool = False,
    imports: Callable[[], object] | None = None,
) -> Iterator[SparkSession]:
    """Provide a SparkSession for a block, and stop it afterwards if this function started it.

    A session that was already running, as in a notebook, stays running. Its Arrow batches
    are small within the block, and as before afterwards.

    Args:
        master: See ``build_session``.
        app_name: See ``build_session``.
        conf: See ``build_session``.
        ui: See ``build_session``.
        log_level: See ``build_session``.
        keep_classes: See ``build_session``.
        imports: See ``build_session``.

    Yields:
        The session.

    Raises:
        SetupError: As ``build_session`` does.
    """
    was_running = "pyspark" in sys.modules and (_is_running() or has_connect_session())
    with nullcontext() if was_running else without_artifacts_folder():
        spark = build_session(
            master=master,
            app_name=app_name,
            conf=conf,
            ui=ui,
            log_level=log_level,
            keep_classes=keep_classes,
            imports=imports,
        )
        batch_before = str(spark.conf.get(ARROW_BATCH))
        if was_running:
            spark.conf.set(ARROW_BATCH, ARROW_BATCH_ROWS)
        try:
            yield spark
        finally:
            if was_running:
                spark.conf.set(ARROW_BATCH, batch_before)
            else:
                spark.stop()


def _is_submitted() -> bool:
    """Return whether spark-submit started this process, and names its JVM's port."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def _is_running() -> bool:
    from pyspark import SparkContext

    return SparkContext._active_spark_context is not None


def _running_session(conf: Mapping[str, str]) -> SparkSession:
    from pyspark.sql import SparkSession

    # The builder of Spark Connect needs an address, even if there is a session.
    active = SparkSession.getActiveSession() if uses_connect() else None
    spark = active or SparkSession.builder.getOrCreate()
    ignored = sorted(
        key for key in conf if spark.conf.get(key, None) not in (conf[key], with_retries(conf[key]))
    )
    if ignored:
        logger.warning(
            "Spark is already running and keeps its settings; not applied: %s", ", ".join(ignored)
        )
    return spark


def _start_jvm(
    master: str | None, conf: Mapping[str, str], log_level: str, *, keep_classes: bool
) -> None:
    """Start the JVM, or connect to the one that spark-submit has started."""
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkRuntimeError

    remove_abandoned_folders()
    early = SparkConf(loadDefaults=False)
    if not _is_submitted() and SparkContext._gateway is None:
        java = _prepare_environment(master)
        options = user_options()
        if java is not None and is_local_master(master):
            jars = Path(str(import_module("pyspark").__file__)).parent / "jars"
            options += archive_options(java, jars, write=keep_classes)
        temporary = _temporary_folder() if is_local_master(master) else None
        settings = launch_settings(master, conf, log_level, options, temporary=temporary)
        for key, value in settings.items():
            early.set(key, value)
    try:
        with _scripts_python(), utf8_file_names():
            start_gateway(early)
        log_in(SparkContext._jvm)
    except (PySparkRuntimeError, OSError) as error:
        java = find_java()
        raise SetupError(
            f"Spark cannot start: its JVM ended at once, with Java {java.version} from "
            f"{java.home}. See what it printed above; the usual reasons are too little memory "
            "for spark.driver.memory and a wrong option in spark.driver.extraJavaOptions"
        ) from error


def _temporary_folder() -> Path | None:
    """Return the folder for the JVM's temporary files, which no kill leaves behind for good."""
    try:
        return process_folder()
    except OSError:
        return None  # the JVM has a default of its own


def _prepare_environment(master: str | None) -> Java | None:
    """Set the environment of the JVM's scripts; return the Java that the launcher starts."""
    complete_submit_arguments()
    java = None
    if os.environ.get("SPARK_HOME"):
        ensure_java()
    else:
        # The launcher avoids the JVM's warning about an incubator module. An external
        # Spark gets its Java without a launcher.
        java = find_java()
        os.environ["JAVA_HOME"] = str(launcher_home(java.home / "bin" / "java"))
    if is_on_this_machine(master):
        # Spark's default is the machine's external interface, even in local mode.
        os.environ.setdefault("SPARK_LOCAL_IP", LOOPBACK)
    return java


@contextmanager
def _scripts_python() -> Iterator[None]:
    """Let Spark's scripts find Spark with this Python, for which the variable may name a shell."""
    variable = "PYSPARK_DRIVER_PYTHON"
    before = os.environ.get(variable)
    if sys.executable and not os.environ.get("SPARK_HOME"):
        os.environ[variable] = sys.executable
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(variable, None)
        else:
            os.environ[variable] = before


def _start_session(settings: SparkConf) -> SparkSession:
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    try:
        return SparkSession.builder.config(conf=settings).getOrCreate()
    except (Py4JError, PySparkException) as error:
        reason = getattr(error, "java_exception", None) or error
        first_line = str(reason).strip().splitlines()[0].rstrip(".")
        raise SetupError(
            f"Spark cannot start on {settings.get('spark.master')}: {first_line}. Check "
            "spark.master and Spark's settings"
        ) from error
