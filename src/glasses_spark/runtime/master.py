"""Spark masters: what the value of ``spark.master`` says about where tasks run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pyspark import SparkContext

# The master of a session that this library starts, where no other is set.
DEFAULT_MASTER: Final = "local[*]"

# Spark's default for clusters, spark.task.maxFailures.
TASK_ATTEMPTS: Final = 4

# The forms that Spark itself accepts (SparkMasterRegex).
LOCAL: Final = re.compile(r"local(?:\[([0-9]+|\*)(?:\s*,\s*[0-9]+)?\])?")
LOCAL_CLUSTER: Final = re.compile(r"local-cluster\[\s*([0-9]+)\s*,\s*([0-9]+)\s*,\s*[0-9]+\s*\]")
CLUSTER: Final = re.compile(r"spark://.+|yarn|k8s://.+")


def is_local_master(master: str | None) -> bool:
    """Return whether a master runs the tasks in the driver's own JVM.

    ``local-cluster[...]`` does not: it starts executors, on the driver's machine.

    Args:
        master: Value of ``spark.master``. None or empty: `DEFAULT_MASTER`.
    """
    return LOCAL.fullmatch(master or DEFAULT_MASTER) is not None


def is_on_this_machine(master: str | None) -> bool:
    """Return whether a master runs the tasks on the driver's machine, in whatever process.

    Args:
        master: As for ``is_local_master``.
    """
    return is_local_master(master) or LOCAL_CLUSTER.fullmatch(master or "") is not None


def with_retries(master: str) -> str:
    """Return a master with which tasks are retried as often as on a cluster.

    In local mode Spark gives up with the first failure, so a Python worker that is killed would
    end the work.

    Args:
        master: Value of ``spark.master``. All but ``local``, ``local[N]`` and ``local[*]`` are
            returned unchanged; ``local[N,M]`` says how often itself.
    """
    local = LOCAL.fullmatch(master)
    if local is None or "," in master:
        return master
    return f"local[{local[1] or 1},{TASK_ATTEMPTS}]"


def is_local(context: SparkContext) -> bool:
    """Return whether the tasks of a running Spark run in the driver's own JVM."""
    return is_local_master(str(context.master))


def master_in_settings(master: str, conf: Mapping[str, str]) -> str:
    """Return the Spark master of a session that this library will start.

    Args:
        master: The master of the configuration; may be empty.
        conf: Settings of Spark by their full names.
    """
    return master or conf.get("spark.master") or DEFAULT_MASTER


def is_known_master(master: str) -> bool:
    """Return whether Spark accepts a value of ``spark.master``."""
    return any(form.fullmatch(master) for form in (LOCAL, LOCAL_CLUSTER, CLUSTER))
