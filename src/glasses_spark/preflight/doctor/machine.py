"""Machine: cores, memory, disks and ports against what a run takes."""

from __future__ import annotations

import os
import shutil
import socket
from contextlib import closing
from pathlib import Path
from typing import Final

from glasses_spark.preflight.doctor.check import FAILED, OK, WARNING, Check, judged
from glasses_spark.preflight.footprint import GIB, MB, memory_of_run
from glasses_spark.runtime.machine import LOOPBACK

# Spark spills and the workers spool their rows there: three times 16 KB a face, so this
# holds for some 20,000 faces.
MIN_DISK: Final = 1 * GIB
MEMORY_INFO: Final = Path("/proc/meminfo")
_TIMEOUT_S: Final = 5.0


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def check_cores(found: int) -> Check:
    """Show the cores.

    Returns:
        The check, which always passes: one core is slow, but enough.
    """
    return Check("Cores", OK, str(found), "1 or more")


def check_memory(total: int, *, processes: int, available: int | None = None) -> Check:
    """Check the machine's memory against what a run in local mode takes.

    Args:
        total: Bytes that this process may use.
        processes: Workers that train at the same time on this machine; 0 on a cluster.
        available: Bytes that nobody uses now; None where that is not known.

    Returns:
        The check; a warning where there is enough, and others use it.
    """
    needed = memory_of_run(processes)
    found = f"{total / GIB:.1f} GiB"
    whom = f"{processes} workers at once" if processes else "the driver"
    wanted = f"{needed / GIB:.1f} GiB or more for {whom}"
    advice = "Train with fewer workers: --set training.num_workers=1 --set spark.master=local[1]"
    if total < needed:
        return Check("Memory", FAILED, found, wanted, advice)
    if available is not None and available < needed:
        return Check(
            "Memory",
            WARNING,
            f"{found}, of which {available / GIB:.1f} GiB are free",
            wanted,
            f"End other programs. {advice}",
        )
    return Check("Memory", OK, found, wanted)


def available_memory(memory_info: Path = MEMORY_INFO) -> int | None:
    """Bytes that Linux could give to a new program; None where it does not say."""
    try:
        lines = memory_info.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def check_disk(folder: Path, free: int, needed: int = MIN_DISK) -> Check:
    """Check that there is room for Spark's and the workers' temporary files.

    Args:
        folder: Where they are written.
        free: Bytes that are free there.
        needed: Bytes that the data take there; never less than ``MIN_DISK`` is wanted.
    """
    needed = max(needed, MIN_DISK)
    return judged(
        "Free disk",
        free >= needed,
        f"{free / GIB:.1f} GiB in {folder}",
        f"{needed / GIB:.1f} GiB or more",
        "Make room there, or name another folder: SPARK_LOCAL_DIRS=/path",
    )


def check_store(folder: Path, free: int, needed: int) -> Check:
    """Check that there is room for the pixel store.

    Args:
        folder: ``store.dir``.
        free: Bytes that are free there.
        needed: Bytes that are written there, and by others on the same disk.
    """
    return judged(
        "Pixel store",
        free >= needed,
        f"{free / GIB:.1f} GiB free for {folder}",
        f"{needed / MB:,.0f} MB or more",
        "Make room there, or name another place: --set store.dir=/path; empty keeps no pixels",
    )


def check_writable(name: str, folder: Path, key: str) -> Check:
    """Check that a folder can be written, or made.

    Args:
        name: The name of the check.
        folder: It need not be there yet.
        key: The configuration key that names it.
    """
    place = existing_part(folder)
    if not place.is_dir():
        return Check(
            name, FAILED, f"{place} is a file", "a folder", f"Name another: --set {key}=PATH"
        )
    return judged(
        name,
        os.access(place, os.W_OK | os.X_OK),
        str(folder),
        f"leave to write in {place}",
        f"Change its owner or mode, or name another place: --set {key}=PATH",
    )


def existing_part(folder: Path) -> Path:
    """The nearest of a folder and those above it that is there."""
    folder = folder.expanduser().absolute()
    return next(one for one in (folder, *folder.parents) if one.exists())


def check_loopback() -> Check:
    """Check that this machine can speak with itself: Spark and Python do, over 127.0.0.1."""
    try:
        with closing(socket.create_server((LOOPBACK, 0))) as server:
            socket.create_connection(server.getsockname(), timeout=_TIMEOUT_S).close()
    except OSError as error:
        return Check(
            "Loopback",
            FAILED,
            f"{LOOPBACK}: {_reason(error)}",
            f"connections from {LOOPBACK} to itself",
            "Bring the interface lo up, and look at the firewall",
        )
    return Check("Loopback", OK, f"{LOOPBACK} answers", f"connections from {LOOPBACK} to itself")


def check_port(address: str, port: int) -> Check:
    """Check that the parameter server could listen.

    Args:
        address: Name or address of this machine on which it would.
        port: ``training.port``; 0 for any that is free.
    """
    name, wanted = "Parameter server", "a free port on an address of this machine"
    shown = f"{address}, {f'port {port}' if port else 'any port'}"
    try:
        socket.create_server((address, port)).close()
    except OSError as error:
        return Check(
            name,
            FAILED,
            f"{shown}: {_reason(error)}",
            wanted,
            "Take a free port, --set training.port=0, and an address of this machine as "
            "spark.driver.bindAddress",
        )
    return Check(name, OK, f"{shown}: can listen", wanted)


def work_folder() -> Path:
    """Where Spark and the workers write what is temporary."""
    named = Path(os.environ.get("SPARK_LOCAL_DIRS", "").split(",")[0])
    # Spark's choice without it: the JVM's java.io.tmpdir, which is not TMPDIR.
    return named if named.name and named.is_dir() else Path("/tmp")


def free_bytes(folder: Path) -> int:
    """Bytes that are free where a folder is, or would be."""
    return shutil.disk_usage(existing_part(folder)).free


def _reason(error: OSError) -> str:
    # Python repeats the address behind the system's own words.
    return (error.strerror or str(error)).partition(" (while")[0]
