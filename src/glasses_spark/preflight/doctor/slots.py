"""Check the workers against the task slots, from the settings or on a running Spark."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from glasses_spark.config.training import SYNCHRONOUS
from glasses_spark.preflight.doctor.check import FAILED, OK, WARNING, Check, pass_or_fail
from glasses_spark.runtime.connect import master_of
from glasses_spark.runtime.master import is_known_master
from glasses_spark.runtime.spark_home import PYSPARK_VERSION
from glasses_spark.runtime.task_slots import count_workers, task_slots

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MASTERS: Final = "local, local[N], local[*], spark://HOST:PORT, yarn or k8s://ADDRESS"

# Packages that a task imports besides pyspark and pyarrow.
TASK_PACKAGES: Final = ("numpy", "pandas", "cv2", "glasses_spark", "grpc")

# A foreign cluster may fail with a Java stack trace; its first line fits in here.
MAX_ERROR_LENGTH: Final = 300

_SLOTS: Final = "Task slots"
_SHIP: Final = "Ship the driver's environment to the executors and set PYSPARK_PYTHON to its Python"


def check_master(master: str) -> Check:
    """Check the form of ``spark.master``."""
    known = is_known_master(master)
    return pass_or_fail("Spark master", known, master, MASTERS, "Correct spark.master")


def check_workers(
    slots: int | None, *, num_workers: int | str, mode: str, cores: int | None = None
) -> Check:
    """Compare the number of workers with the task slots.

    Args:
        slots: Task slots; None if unknown.
        num_workers: ``training.num_workers``.
        mode: ``training.mode``.
        cores: Cores that the slots share in local mode; None on a cluster.
    """
    wanted = "a task slot or more"
    if slots is None:
        unknown = f"unknown until the cluster runs; workers: {num_workers}"
        advice = "To ask the cluster: glasses-spark doctor --spark"
        return Check(_SLOTS, OK, unknown, wanted, advice)
    if slots < 1:
        return Check(
            _SLOTS,
            FAILED,
            "none: spark.task.cpus is larger than the cores of an executor",
            wanted,
            "Lower spark.task.cpus, or give Spark more cores",
        )
    workers = count_workers(num_workers, slots=slots)
    tasks = min(workers, slots)
    summary = f"{slots} for {workers} {mode} workers"
    if tasks < workers:
        summary += f", which share {tasks} task{'s' if tasks > 1 else ''}"
    if cores is not None and tasks > cores:
        return Check(
            _SLOTS,
            WARNING,
            f"{summary} on {cores} cores",
            "a core for each task",
            f"Use --set spark.master=local[{cores}]",
        )
    return Check(_SLOTS, OK, summary, wanted)


def check_barrier(conf: Mapping[str, str], mode: str) -> Check:
    """Check that Spark accepts the barrier stage of synchronous training.

    Args:
        conf: Settings of Spark by their full names.
        mode: ``training.mode``.
    """
    name, wanted = "Barrier mode", "no dynamic allocation, which excludes barrier mode"
    if mode != SYNCHRONOUS:
        return Check(name, OK, f"not used by {mode} training", wanted)
    dynamic = conf.get("spark.dynamicAllocation.enabled", "false").lower() == "true"
    return pass_or_fail(
        name,
        not dynamic,
        f"spark.dynamicAllocation.enabled={str(dynamic).lower()}",
        wanted,
        "Use --set spark.conf.spark.dynamicAllocation.enabled=false, or train asynchronously",
    )


def check_running(spark: SparkSession, *, num_workers: int | str, mode: str) -> list[Check]:
    """Check a running Spark: its task slots and the Python of its executors.

    Args:
        spark: The session.
        num_workers: As for ``check_workers``.
        mode: As for ``check_workers``.
    """
    slots = task_slots(spark)
    version = f"{spark.version} on {master_of(spark)}"
    started = Check("Spark starts", OK, version, PYSPARK_VERSION)
    workers = check_workers(slots, num_workers=num_workers, mode=mode)
    return [started, workers, check_executors(spark, slots, barrier=mode == SYNCHRONOUS)]


def check_executors(
    spark: SparkSession,
    slots: int,
    *,
    barrier: bool,
    python: str = platform.python_version(),
    packages: Sequence[str] = TASK_PACKAGES,
) -> Check:
    """Run a small task in each slot and compare its Python with the driver's.

    Args:
        spark: The session.
        slots: Its task slots.
        barrier: Whether to run the tasks as one barrier stage, as synchronous training does.
        python: Version that the executors must have.
        packages: Modules that the tasks must be able to import.
    """
    name, wanted = "Executors", f"Python {python} with the packages of the driver"
    rows = spark.range(0, slots, 1, slots)
    try:
        answers = rows.mapInArrow(
            _make_probe(packages), "python string, error string", barrier=barrier
        ).collect()
    except Exception as error:  # a cluster can fail in any way
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        reason = lines[0][:MAX_ERROR_LENGTH] if lines else type(error).__name__
        return Check(name, FAILED, reason, wanted, _SHIP)
    pythons = sorted({row.python for row in answers})
    errors = sorted({row.error for row in answers if row.error})
    return pass_or_fail(
        name,
        pythons == [python] and not errors,
        "; ".join([f"{len(answers)} tasks with Python {', '.join(pythons)}", *errors]),
        wanted,
        _SHIP,
    )


def _make_probe(packages: Sequence[str]) -> Callable[[Iterable[object]], Iterable[object]]:
    """Make the function that the tasks run.

    It must be self-contained: an executor may lack this package.
    """

    def probe(batches: Iterable[object]) -> Iterable[object]:
        import importlib
        import platform

        import pyarrow as pa

        for _ in batches:
            pass
        errors = []
        for package in packages:
            try:
                importlib.import_module(package)
            except ImportError as error:
                errors.append(f"{package}: {error}")
        row = {"python": [platform.python_version()], "error": ["; ".join(errors)]}
        yield pa.RecordBatch.from_pydict(row)

    return probe
