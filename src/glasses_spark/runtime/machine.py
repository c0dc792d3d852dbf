"""Machine: cores, memory, processor features, temporary folder and loopback address."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

LOOPBACK: Final = "127.0.0.1"

CPU_INFO: Final = Path("/proc/cpuinfo")

# The memory limit of a container, in versions 2 and 1 of control groups.
_MEMORY_LIMITS: Final = (
    "/sys/fs/cgroup/memory.max",
    "/sys/fs/cgroup/memory/memory.limit_in_bytes",
)


def count_cores() -> int:
    """Count the cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def total_memory() -> int:
    """Return the memory that this process may use, in bytes.

    Returns:
        The machine's memory, or the container's limit where that is lower.
    """
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in _MEMORY_LIMITS:
        try:
            text = Path(limit).read_text().strip()
        except OSError:
            continue
        # "max" without a limit.
        if text.isdigit():
            total = min(total, int(text))
    return total


def has_cpu_flag(flags: Collection[str], cpu_info: Path = CPU_INFO) -> bool:
    """Return whether this machine's processor has at least one of the given features.

    Args:
        flags: Features by the names that Linux uses, such as ``avx512_bf16``.
        cpu_info: File in which Linux describes the processor.

    Returns:
        False as well where the file is missing or lists no features.
    """
    try:
        lines = cpu_info.read_text(errors="replace").splitlines()
    except OSError:
        return False
    fields = (line.partition(":") for line in lines)
    return any(
        not set(flags).isdisjoint(value.split())
        for name, _, value in fields
        if name.strip().lower() in ("flags", "features")
    )


def spark_local_folder() -> str | None:
    """Return the first existing folder of ``SPARK_LOCAL_DIRS``; None if there is none.

    Spark sets this variable for its Python workers; users may set it for Spark.
    """
    folders = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")
    return next((folder for folder in folders if folder and os.path.isdir(folder)), None)
