"""Spark: workers against task slots, from the settings alone or from a Spark that runs."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from glasses_spark.preflight.doctor.check import FAILED, OK, WARNING, Check, judged

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_LOCAL: Final = re.compile(r"local(?:\[\s*(\d+|\*)\s*(?:,\s*\d+\s*)?\])?")
_LOCAL_CLUSTER: Final = re.compile(r"local-cluster\[\s*(\d+)\s*,\s*(\d+)\s*,\s*\d+\s*\]")
_REMOTE: Final = re.compile(r"(spark://.+|yarn|k8s://.+)")
MASTERS: Final = "local, local[N], local[*], spark://HOST:PORT, yarn or k8s://ADDRESS"

# What a task of ours imports besides pyspark and pyarrow, in the order of the blame.
PROBED: Final = ("numpy", "pandas", "cv2", "glasses_spark", "grpc")
_SLOTS: Final = "Task slots"


def is_local_master(master: str) -> bool:
    """Whether the tasks run in the driver's own JVM."""
    return _LOCAL.fullmatch(master) is not None


def slots_of(master: str, conf: Mapping[str, str], cores: int) -> int | None:
    """Count the task slots that a master gives, without asking it.

    Args:
        master: As ``spark.master``.
        conf: Settings of Spark by their full names.
        cores: Cores of this machine.

    Returns:
        How many tasks run at the same time, or None where only a running cluster knows.
    """
    of_task = max(1, int(conf.get("spark.task.cpus", "1")))
    if local := _LOCAL.fullmatch(master):
        wanted = local[1] or "1"
        return (cores if wanted == "*" else int(wanted)) // of_task
    if shape := _LOCAL_CLUSTER.fullmatch(master):
        return int(shape[1]) * (int(shape[2]) // of_task)
    instances, each = conf.get("spark.executor.instances"), conf.get("spark.executor.cores")
    if instances is None or each is None:
        return None
    return int(instances) * (int(each) // of_task)


def check_master(master: str) -> Check:
    """Check the form of the master's address."""
    known = any(kind.fullmatch(master) for kind in (_LOCAL, _LOCAL_CLUSTER, _REMOTE))
    return judged("Spark master", known, master, MASTERS, "Correct spark.master")


def check_workers(
    slots: int | None, *, num_workers: int | str, mode: str, cores: int | None = None
) -> Check:
    """Check the workers against the task slots, as a fit will.

    Args:
        slots: Task slots; None where they are not known.
        num_workers: ``training.num_workers``.
        mode: ``training.mode``; synchronous workers are one barrier stage and must all
            have a slot at once.
        cores: Cores that the slots share, in local mode; None elsewhere.
    """
    barrier = mode == "synchronous"
    wanted = (
        "a slot for each worker at once (barrier mode)" if barrier else "a slot for each worker"
    )
    if slots is None:
        found = f"not known before the cluster runs; workers: {num_workers}"
        return Check(_SLOTS, OK, found, wanted, "To ask the cluster: glasses-spark doctor --spark")
    if slots < 1:
        return Check(
            _SLOTS,
            FAILED,
            "none: a task asks for more cores (spark.task.cpus) than there are",
            wanted,
            "Lower spark.task.cpus, or give Spark more cores",
        )
    workers = slots if num_workers == "auto" else int(num_workers)
    found = f"{slots}, for {workers} {mode} workers"
    if workers > slots:
        advice = f"Take --set training.num_workers={slots}, or give Spark more cores"
        return Check(
            _SLOTS,
            FAILED if barrier else WARNING,
            found if barrier else f"{found}: they train in waves, one after the other",
            wanted,
            f"{advice}, or train asynchronously" if barrier else advice,
        )
    if cores is not None and workers > cores:
        return Check(
            _SLOTS,
            WARNING,
            f"{found} on {cores} cores: they take turns",
            "a core for each worker",
            f"Take --set training.num_workers={cores}",
        )
    return Check(_SLOTS, OK, found, wanted)


def check_barrier(conf: Mapping[str, str], mode: str) -> Check:
    """Check that Spark would run a barrier stage, which synchronous training is."""
    name, wanted = "Barrier mode", "no dynamic allocation, with which Spark refuses it"
    if mode != "synchronous":
        return Check(name, OK, f"not needed by {mode} training", wanted)
    dynamic = conf.get("spark.dynamicAllocation.enabled", "false").lower() == "true"
    return judged(
        name,
        not dynamic,
        f"spark.dynamicAllocation.enabled={str(dynamic).lower()}",
        wanted,
        "--set spark.conf.spark.dynamicAllocation.enabled=false, or train asynchronously",
    )


def check_running(spark: SparkSession, *, num_workers: int | str, mode: str) -> list[Check]:
    """Check a Spark that runs: its slots, a barrier stage where one is needed, its Pythons.

    Args:
        spark: The session.
        num_workers: As for ``check_workers``.
        mode: As for ``check_workers``.
    """
    from glasses_spark.runtime.task_slots import task_slots

    slots = task_slots(spark)
    started = Check("Spark starts", OK, f"{spark.version} on {spark.sparkContext.master}", "4.0")
    workers = check_workers(slots, num_workers=num_workers, mode=mode)
    return [started, workers, check_executors(spark, slots, barrier=mode == "synchronous")]


def check_executors(spark: SparkSession, slots: int, *, barrier: bool) -> Check:
    """Run a small task in each slot, all at once where training will, and ask its Python.

    Args:
        spark: The session.
        slots: Its task slots.
        barrier: Whether the tasks are one barrier stage.
    """
    name, wanted = "Executors", f"Python {_own_python()} with the packages of the driver"
    rows = spark.range(0, slots, 1, slots)
    try:
        answers = rows.mapInArrow(
            _probe_for(PROBED), "python string, trouble string", barrier=barrier
        ).collect()
    except Exception as error:  # whatever a foreign cluster says; the last lines tell most
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        return Check(
            name,
            FAILED,
            lines[0][:300] if lines else type(error).__name__,
            wanted,
            "Ship the environment to the executors, with PYSPARK_PYTHON naming its Python",
        )
    pythons = sorted({row.python for row in answers})
    troubles = sorted({row.trouble for row in answers if row.trouble})
    return judged(
        name,
        pythons == [_own_python()] and not troubles,
        f"{len(answers)} tasks at once, Python {', '.join(pythons)}"
        + "".join(f"; {trouble}" for trouble in troubles),
        wanted,
        "Ship the driver's environment to the executors, with PYSPARK_PYTHON naming its Python",
    )


def _own_python() -> str:
    return platform.python_version()


def _probe_for(packages: Sequence[str]) -> Callable[[Iterable[object]], Iterable[object]]:
    """Make the function that tries packages in an executor, which may lack what the driver has."""

    def probe(batches: Iterable[object]) -> Iterable[object]:
        import importlib
        import platform

        import pyarrow as pa

        for _ in batches:
            pass
        troubles = []
        for package in packages:
            try:
                importlib.import_module(package)
            except ImportError as error:
                troubles.append(f"{package}: {error}")
        row = {"python": [platform.python_version()], "trouble": ["; ".join(troubles)]}
        yield pa.RecordBatch.from_pydict(row)

    return probe
