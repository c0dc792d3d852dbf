"""Session: the SparkSession that everything runs on, started here or already there."""

from __future__ import annotations

import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from glasses_spark.class_archive import archive_options
from glasses_spark.errors import SetupError
from glasses_spark.java import Java, ensure_java, find_java, launcher_home

# pyspark is imported inside the functions: an external Spark, named by
# SPARK_HOME, brings its own, and findspark must come first.
if TYPE_CHECKING:
    from pyspark import SparkConf
    from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)

PYSPARK_VERSION = "4.0"
LOOPBACK = "127.0.0.1"
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

# Executors have this long to register before their task slots are counted.
REGISTRATION_SECONDS = 30.0

# Where nobody said how many executors there will be, a pause of this length after
# the last one means that all have come; those of one cluster start within a second or two.
SETTLE_SECONDS = 3.0

# In local mode the JVM plans, moves bytes and waits for Python, most of it once: what
# the second compiler would gain in speed it would take in time, on the cores that train.
# The collector is the one that starts fastest of those that use several cores.
# On 2 cores the demo ends in 53 to 57 s with these, in 63 to 66 s without.
LOCAL_JVM_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseParallelGC"

_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})

# How long a busy thread keeps the interpreter to itself while Spark starts. Each of the
# hundreds of small calls to the JVM that this takes would else wait for Python's 5 ms.
_SHORT_SWITCH_S = 0.0005

# Set when this process has forked another, such as the JVM.
_forked = threading.Event()
os.register_at_fork(after_in_parent=_forked.set)


def build_session(
    *,
    master: str | None = None,
    app_name: str = "glasses-spark",
    conf: Mapping[str, str] = _NO_SETTINGS,
    ui: bool = False,
    log_level: str = "ERROR",
    keep_classes: bool = False,
    meanwhile: Callable[[], object] | None = None,
) -> SparkSession:
    """Give the running SparkSession, or start one.

    What was decided outside wins: a session that runs already is given as it
    is, and under ``spark-submit`` the submitter's master and settings stand;
    the arguments only fill what is not set. Otherwise ``conf`` comes before
    this module's defaults, and those fill only what the command line
    (``PYSPARK_SUBMIT_ARGS``) and ``spark-defaults.conf`` leave open. With
    ``SPARK_HOME`` set, that Spark is used, through findspark.

    Args:
        master: Spark master such as ``local[4]`` or ``spark://host:7077``;
            None or empty: the submitter's, else ``local[*]``.
        app_name: Name shown in Spark's UI and on the cluster.
        conf: Settings by their full names, such as ``spark.executor.memory``.
        ui: Whether Spark serves its web pages while it runs.
        log_level: What the JVM prints, when it is started here: a log4j level.
            At ``ERROR`` failed tasks are not printed, as they come back as
            exceptions.
        keep_classes: Whether a JVM that is started here for local mode may keep the classes
            that it has loaded for the next ones (see ``class_archive``): for work that
            loads most of what others load.
        meanwhile: Called in a thread of its own once the JVM's process is there: work
            such as imports, for which the start of the JVM leaves a core and some
            seconds. Nothing waits for it.

    Returns:
        The session. Who started it stops it; see ``spark_session``.

    Raises:
        SetupError: No Java or no Spark of the right version, or Spark does not
            start; the message says what was found and what to do.
    """
    submitted = _is_submitted()
    if not submitted:
        _find_external_spark()
    _check_pyspark()
    if _is_running():
        with _beside(meanwhile):
            return _running_session(conf)

    with _beside(meanwhile):
        _start_jvm(master, conf, log_level, keep_classes=keep_classes)
    settings = _settings(master, app_name, conf, ui=ui, submitted=submitted)
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
    meanwhile: Callable[[], object] | None = None,
) -> Iterator[SparkSession]:
    """Run a block with a SparkSession, and stop it afterwards if it was started here.

    A session that was already running, as in a notebook, is used and left
    running; it has small Arrow batches within the block, and its own again
    afterwards.

    Args:
        master: See ``build_session``.
        app_name: See ``build_session``.
        conf: See ``build_session``.
        ui: See ``build_session``.
        log_level: See ``build_session``.
        keep_classes: See ``build_session``.
        meanwhile: See ``build_session``.

    Yields:
        The session.

    Raises:
        SetupError: As ``build_session`` does.
    """
    borrowed = "pyspark" in sys.modules and _is_running()
    spark = build_session(
        master=master,
        app_name=app_name,
        conf=conf,
        ui=ui,
        log_level=log_level,
        keep_classes=keep_classes,
        meanwhile=meanwhile,
    )
    if borrowed:
        own_batch = str(spark.conf.get(ARROW_BATCH))
        spark.conf.set(ARROW_BATCH, ARROW_BATCH_ROWS)
        try:
            yield spark
        finally:
            spark.conf.set(ARROW_BATCH, own_batch)
    else:
        try:
            yield spark
        finally:
            spark.stop()


def task_slots(spark: SparkSession) -> int:
    """Count the tasks that can run at the same time: what ``num_workers="auto"`` means.

    It is Spark's own count, the one by which it accepts a barrier stage: over
    all executors that have registered, their cores divided by
    ``spark.task.cpus``; in local mode, the cores of the master. A cluster's
    executors register while the session is already in use, so this waits, up
    to half a minute, for the number that the settings ask for or, where they
    leave it to the cluster, until no more have come for three seconds.

    Args:
        spark: A running session.

    Returns:
        The number of slots, at least 1.

    Raises:
        SetupError: No executor came, or none has the cores for one task.
    """
    wanted = _wanted_slots(spark)
    deadline = time.monotonic() + REGISTRATION_SECONDS
    slots = _registered_slots(spark)
    while time.monotonic() < deadline and not _are_all_there(spark, slots, wanted):
        time.sleep(0.1)
        slots = _registered_slots(spark)
    if not slots:
        context = spark.sparkContext
        raise SetupError(
            f"No room for a task: found 0 task slots on {context.master} after "
            f"{REGISTRATION_SECONDS:.0f} s, with spark.task.cpus="
            f"{context.getConf().get('spark.task.cpus', '1')}; wanted at least 1. Check that the "
            "cluster has free executors, and that they have as many cores as a task asks for."
        )
    return slots


def total_memory() -> int:
    """Give the memory that this process may use, in bytes.

    Returns:
        The machine's, or the container's limit where that is lower.
    """
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(limit).read_text().strip()
        except OSError:
            continue
        # "max" where there is none.
        if text.isdigit():
            total = min(total, int(text))
    return total


def _is_submitted() -> bool:
    """Whether spark-submit started this process: its JVM waits for us at that port."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def _is_running() -> bool:
    from pyspark import SparkContext

    return SparkContext._active_spark_context is not None


def _running_session(conf: Mapping[str, str]) -> SparkSession:
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.getOrCreate()
    ignored = sorted(key for key in conf if spark.conf.get(key, None) != conf[key])
    if ignored:
        logger.warning(
            "Spark is already running, and is used as it is; not applied: %s", ", ".join(ignored)
        )
    return spark


def _find_external_spark() -> None:
    home = os.environ.get("SPARK_HOME")
    if not home:
        return
    # Both are needed: the one starts the JVM, the other talks to it.
    for needed in ("bin/spark-submit", "python/lib/py4j-*.zip"):
        if not any(Path(home).glob(needed)):
            raise SetupError(
                f"Spark cannot start: found no {needed} in SPARK_HOME={home}; wanted a Spark "
                f"{PYSPARK_VERSION} installation. Correct SPARK_HOME, or unset it to use the "
                "Spark that was installed with this package."
            )
    import findspark

    findspark.init()


def _check_pyspark() -> None:
    """Refuse another Spark, or Python and JVM parts that do not belong together."""
    pyspark = import_module("pyspark")
    home = os.environ.get("SPARK_HOME")
    version = str(pyspark.__version__)
    where = Path(str(pyspark.__file__)).parent
    if not f"{version}.".startswith(f"{PYSPARK_VERSION}."):
        blame = f" (SPARK_HOME={home})" if home else ""
        raise SetupError(
            f"Spark cannot be used: found pyspark {version} in {where}{blame}; wanted "
            f"{PYSPARK_VERSION}. Install pyspark=={PYSPARK_VERSION}.0"
            + (", or let SPARK_HOME name such a Spark, or unset it." if home else ".")
        )
    # With pyspark imported before, findspark changes SPARK_HOME but not pyspark.
    jars = sorted(Path(home).glob("jars/spark-core_*.jar")) if home else []
    if jars and version not in jars[0].name:
        raise SetupError(
            f"Spark cannot be used: found pyspark {version} in {where}, but "
            f"{jars[0].name} in SPARK_HOME={home}; wanted the same version of both. Import "
            "glasses_spark before pyspark, or unset SPARK_HOME."
        )


def _start_jvm(
    master: str | None, conf: Mapping[str, str], log_level: str, *, keep_classes: bool
) -> None:
    """Start the JVM, or connect to the one that spark-submit has started."""
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkRuntimeError

    early = SparkConf(loadDefaults=False)
    if not _is_submitted() and SparkContext._gateway is None:
        java = _prepare_environment(master)
        options = []
        if java is not None and _is_local_master(master):
            jars = Path(str(import_module("pyspark").__file__)).parent / "jars"
            options = archive_options(java, jars, write=keep_classes)
        settings = _launch_settings(master, conf, log_level, options)
        for key, value in settings.items():
            early.set(key, value)
    try:
        SparkContext._ensure_initialized(conf=early)
    except (PySparkRuntimeError, OSError) as error:
        java = find_java()
        raise SetupError(
            f"Spark cannot start: its JVM ended at once, with Java {java.version} from "
            f"{java.home}; wanted a running one. What it printed is above; too little memory for "
            "spark.driver.memory and a faulty spark.driver.extraJavaOptions are the usual reasons."
        ) from error


@contextmanager
def _beside(work: Callable[[], object] | None) -> Iterator[None]:
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


def _prepare_environment(master: str | None) -> Java | None:
    """Set what the JVM's scripts look at; give the Java that starts through our launcher."""
    java = None
    if os.environ.get("SPARK_HOME"):
        ensure_java()
    else:
        # Spares the terminal the JVM's warning about a module that only Spark's
        # own linear algebra uses. An external Spark gets its Java as it is.
        java = find_java()
        os.environ["JAVA_HOME"] = str(launcher_home(java.home / "bin" / "java"))
    if _is_local_master(master):
        # Else Spark binds to the machine's outside interface even in local mode.
        os.environ.setdefault("SPARK_LOCAL_IP", LOOPBACK)
    return java


def _launch_settings(
    master: str | None, conf: Mapping[str, str], log_level: str, java_options: Sequence[str]
) -> dict[str, str]:
    """Give the settings that only count if the JVM is started with them."""
    # The bars of this library's own commands would be torn apart by Spark's,
    # which spark-submit turns on for every shell that does not decline.
    settings = {"spark.ui.showConsoleProgress": "false"}
    java_options = list(java_options)
    if _is_local_master(master):
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


def _settings(
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
    if _is_local_master(settings.get("spark.master")):
        defaults |= {"spark.driver.host": LOOPBACK, "spark.driver.bindAddress": LOOPBACK}
        defaults["spark.sql.shuffle.partitions"] = str(_shuffle_partitions())
        if not submitted:
            # What spark-submit ships comes to a worker after its daemon has started.
            defaults["spark.python.daemon.module"] = "glasses_spark.daemon"
        # Spark would start its workers with the first python3 on PATH.
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    for key, value in defaults.items():
        settings.setIfMissing(key, value)
    return settings


def _start_session(settings: SparkConf) -> SparkSession:
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException
    from pyspark.sql import SparkSession

    try:
        return SparkSession.builder.config(conf=settings).getOrCreate()
    except (Py4JError, PySparkException) as error:
        reason = getattr(error, "java_exception", None) or error
        first_line = str(reason).strip().splitlines()[0]
        raise SetupError(
            f"Spark cannot start on {settings.get('spark.master')}: {first_line}. Check the "
            "master's address and the settings of Spark."
        ) from error


def _is_local_master(master: str | None) -> bool:
    return not master or master.startswith("local")


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


def _registered_slots(spark: SparkSession) -> int:
    # Not in Spark's Python interface. The alternatives are worse: defaultParallelism
    # is a setting, and the executors' cores are not told to the driver's Python.
    scala_context = spark.sparkContext._jsc.sc()
    profile = scala_context.resourceProfileManager().defaultResourceProfile()
    return int(scala_context.maxNumConcurrentTasks(profile))


def _are_all_there(spark: SparkSession, slots: int, wanted: int | None) -> bool:
    if wanted is None:
        return slots > 0 and _seconds_since_last_executor(spark) >= SETTLE_SECONDS
    return slots >= max(wanted, 1)


def _seconds_since_last_executor(spark: SparkSession) -> float:
    """Tell by Spark's own record how long no executor has come.

    Not by watching from now on: this is asked several times in a run, and executors
    that came long ago need no waiting for.
    """
    scala_context = spark.sparkContext._jsc.sc()
    executors = scala_context.statusStore().executorList(True)
    added = [
        executor.addTime().getTime() / 1000
        for executor in map(executors.apply, range(executors.size()))
        if executor.id() != "driver"
    ]
    return time.time() - max(added) if added else 0.0


def _wanted_slots(spark: SparkSession) -> int | None:
    """Say how many slots the settings ask for, or None where they leave it to the cluster."""
    conf = spark.sparkContext.getConf()
    master = str(spark.sparkContext.master)
    if shape := re.fullmatch(r"local-cluster\[\s*(\d+)\s*,\s*(\d+)\s*,.*\]", master):
        return int(shape[1]) * _tasks_of_executor(conf, cores=int(shape[2]))
    if _is_local_master(master):
        # The driver is the executor, and has registered. None would be no room.
        return _registered_slots(spark)
    if conf.get("spark.dynamicAllocation.enabled", "false") == "true":
        return None
    instances, cores = conf.get("spark.executor.instances"), conf.get("spark.executor.cores")
    if master.startswith(("yarn", "k8s")):
        # Their defaults. A standalone master has none: it gives all that is free.
        instances, cores = instances or "2", cores or "1"
    if instances is None or cores is None:
        return None
    return int(instances) * _tasks_of_executor(conf, cores=int(cores))


def _tasks_of_executor(conf: SparkConf, *, cores: int) -> int:
    """How many tasks run at once in an executor of so many cores, and of the GPUs it asks for."""
    tasks = cores // int(conf.get("spark.task.cpus", "1") or 1)
    gpus, share = (conf.get(f"spark.{of}.resource.gpu.amount") for of in ("executor", "task"))
    # A task may ask for half a GPU.
    return min(tasks, int(int(gpus) / float(share))) if gpus and share else tasks
