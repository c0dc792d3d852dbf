"""Check the cores, memory, disks and ports of this machine."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Final

from glasses_spark.preflight.doctor.check import FAILED, OK, WARNING, Check, pass_or_fail
from glasses_spark.preflight.footprint import GIB, MB, memory_of_run
from glasses_spark.runtime.machine import LOOPBACK, spark_local_folder

# Spark spills and the workers spool three times 16 KB per image of 128 x 128, so this is
# enough for about 20,000 images.
MIN_DISK: Final = 1 * GIB
MEMORY_INFO: Final = Path("/proc/meminfo")
_TIMEOUT_S: Final = 5.0


def check_cores(count: int) -> Check:
    """Report the number of cores; this check always passes.

    Args:
        count: Cores that this process may use.
    """
    return Check("Cores", OK, str(count), "1 or more")


def check_memory(total: int, *, workers: int, available: int | None = None) -> Check:
    """Compare the memory of this machine with that of a run.

    Args:
        total: Bytes that this process may use.
        workers: Workers that train at the same time on this machine; 0 on a cluster.
        available: Bytes that are free; None if unknown.

    Returns:
        The check; a warning if the memory is large enough but partly in use.
    """
    needed = memory_of_run(workers)
    memory = f"{total / GIB:.1f} GiB"
    purpose = f"{workers} workers" if workers else "the driver"
    wanted = f"{needed / GIB:.1f} GiB or more for {purpose}"
    advice = "Train with fewer workers: --set training.num_workers=1 --set spark.master=local[1]"
    if total < needed:
        return Check("Memory", FAILED, memory, wanted, advice)
    if available is not None and available < needed:
        return Check(
            "Memory",
            WARNING,
            f"{memory}, {available / GIB:.1f} GiB of it free",
            wanted,
            f"Stop other programs. {advice}",
        )
    return Check("Memory", OK, memory, wanted)


def available_memory(memory_info: Path = MEMORY_INFO) -> int | None:
    """Return the memory that Linux can give to new programs, in bytes.

    Args:
        memory_info: File in which Linux reports its memory.

    Returns:
        None if the file does not say.
    """
    try:
        lines = memory_info.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def check_disk(folder: Path, free: int, needed: int = MIN_DISK) -> Check:
    """Check the disk space for temporary files of Spark and the workers.

    Args:
        folder: Where the files are written.
        free: Free bytes there.
        needed: Bytes that the data need there; `MIN_DISK` if that is more.
    """
    needed = max(needed, MIN_DISK)
    return pass_or_fail(
        "Free disk",
        free >= needed,
        f"{free / GIB:.1f} GiB in {folder}",
        f"{needed / GIB:.1f} GiB or more",
        "Free some space there, or set another folder: SPARK_LOCAL_DIRS=/path",
    )


def check_store(folder: Path, free: int, needed: int) -> Check:
    """Check the disk space for the pixel store.

    Args:
        folder: ``store.dir``.
        free: Free bytes there.
        needed: Bytes of the store, and of temporary files on the same disk.
    """
    return pass_or_fail(
        "Pixel store",
        free >= needed,
        f"{free / GIB:.1f} GiB free for {folder}",
        f"{needed / MB:,.0f} MB or more",
        "Free some space there, use another folder (--set store.dir=/path) or no store "
        "(--set store.dir=)",
    )


def check_writable(name: str, folder: Path, key: str) -> Check:
    """Check that a folder is writable or can be created.

    Args:
        name: Name of the check.
        folder: A folder, which need not exist.
        key: Configuration key of the folder.
    """
    parent = nearest_existing(folder)
    option = f"--set {key}=PATH"
    if not parent.is_dir():
        advice = f"Use another folder: {option}"
        return Check(name, FAILED, f"{parent} is a file", "a folder", advice)
    return pass_or_fail(
        name,
        os.access(parent, os.W_OK | os.X_OK),
        str(folder),
        f"permission to write to {parent}",
        f"Change its owner or mode, or use another folder: {option}",
    )


def nearest_existing(folder: Path) -> Path:
    """Return a folder itself, or the nearest of its parents that exists."""
    folder = folder.expanduser().absolute()
    return next(path for path in (folder, *folder.parents) if path.exists())


def check_loopback(address: str = LOOPBACK) -> Check:
    """Check that this machine can connect to itself, as Spark and Python do.

    Args:
        address: The loopback address.
    """
    name, wanted = "Loopback", f"connections from {address} to itself"
    try:
        with closing(socket.create_server((address, 0))) as server:
            socket.create_connection(server.getsockname(), timeout=_TIMEOUT_S).close()
    except OSError as error:
        advice = "Bring up the interface lo, and check the firewall"
        return Check(name, FAILED, f"{address}: {_reason(error)}", wanted, advice)
    return Check(name, OK, f"{address} answers", wanted)


def check_port(address: str, port: int) -> Check:
    """Check that the parameter server can listen.

    Args:
        address: Name or address of this machine on which it listens.
        port: ``training.port``; 0 for any free port.
    """
    name, wanted = "Parameter server", "a free port on an address of this machine"
    endpoint = f"{address}, {f'port {port}' if port else 'any port'}"
    try:
        socket.create_server((address, port)).close()
    except OSError as error:
        return Check(
            name,
            FAILED,
            f"{endpoint}: {_reason(error)}",
            wanted,
            "Use a free port (--set training.port=0), and set spark.driver.bindAddress to an "
            "address of this machine",
        )
    return Check(name, OK, f"{endpoint}: can listen", wanted)


def temporary_folder() -> Path:
    """Return the folder for temporary files of Spark and the workers."""
    # The JVM that this package starts has a folder of its own there.
    return Path(spark_local_folder() or tempfile.gettempdir())


def free_bytes(folder: Path) -> int:
    """Return the free bytes on the disk of a folder, which need not exist."""
    return shutil.disk_usage(nearest_existing(folder)).free


def _reason(error: OSError) -> str:
    # Python appends the address to the message of the system.
    return (error.strerror or str(error)).partition(" (while")[0]
