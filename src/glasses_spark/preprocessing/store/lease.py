"""Leases: who uses which segments of a pixel store, so that nobody removes them.

A lease is a small file in the store, which its process renews. It has ended when its file is
older than ``EXPIRY_SECONDS`` by the clock of the file system that holds it, or when its process
ran on this machine and has ended. So the clocks of the machines do not matter.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import threading
import uuid
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from glasses_spark.preprocessing.store import lease_files
from glasses_spark.runtime import hadoop
from glasses_spark.runtime.connect import is_connect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

logger = logging.getLogger(__name__)

FOLDER: Final = "_leases"

# A process that cannot renew its lease for so long, such as on a machine in sleep mode, loses
# the segments that a newer run has replaced.
EXPIRY_SECONDS: Final = 600
RENEWAL_SECONDS: Final = 60


_PROCESS: Final = os.getpid()


class Lease:
    """The use of a store by a run of this process, until it is released or the process ends.

    Args:
        spark: The running session.
        folder: URI of the store.

    Attributes:
        segments: Names of the segments in use; None for all, until they are known.
    """

    def __init__(self, spark: SparkSession, folder: str) -> None:
        self._files = lease_files.open_folder(spark, f"{folder}/{FOLDER}")
        self.name = uuid.uuid4().hex
        self.segments: Sequence[str] | None = None
        self._lock = threading.Lock()
        self._released = False
        self._write()
        _renewal.add(self)

    def use(self, segments: Sequence[str]) -> None:
        """Name the segments in use; others may be removed."""
        self.segments = tuple(segments)
        self._write()

    def renew(self) -> None:
        """Renew the lease; a failure is logged, and does not end the run."""
        try:
            self._write()
        except Exception as error:
            logger.warning("the lease of the pixel store cannot be renewed: %s", error)

    def release(self) -> None:
        """End the lease; the second time it does nothing."""
        with self._lock:
            if self._released:
                return
            self._released = True
        _renewal.remove(self)
        # A file that stays, as after the end of Spark, expires.
        with suppress(Exception):
            self._files.delete(self.name)

    def others(self) -> list[Sequence[str] | None]:
        """Return the segments in use by each other lease, None for all; remove ended leases."""
        found = []
        self._write()
        now = self._files.modified(self.name)
        for name in self._files.names():
            if name == self.name:
                continue
            try:
                age = now - self._files.modified(name)
                content = json.loads(self._files.read(name))
                segments, owner = content["segments"], content["process"]
            except FileNotFoundError:
                continue  # released since
            except (ValueError, KeyError, TypeError):
                # Being written at this moment, or not a lease.
                segments, owner = None, None
            if age > EXPIRY_SECONDS or _has_ended(owner):
                self._files.delete(name)
            else:
                found.append(segments)
        return found

    def _write(self) -> None:
        content = {"process": this_process(), "segments": self.segments}
        with self._lock:
            if not self._released:
                self._files.write(self.name, json.dumps(content))


def open_lease(spark: SparkSession, folder: str) -> Lease | None:
    """Return a new lease of a store.

    Args:
        spark: The running session.
        folder: URI of the store.

    Returns:
        The lease; None under Spark Connect, which cannot write it, and, with a warning, where
        the store cannot be written: then it can still be read.
    """
    if is_connect(spark):
        return None
    try:
        return Lease(spark, folder)
    except hadoop.error_types() as error:
        logger.warning(
            "the pixel store %s cannot be written (%s): runs that update it may remove what this "
            "one reads",
            folder,
            hadoop.reason_of(error),
        )
        return None


class _Renewal:
    """The thread that renews the leases of this process while there are any."""

    def __init__(self) -> None:
        self._leases: set[Lease] = set()
        self._lock = threading.Lock()
        self._ended: threading.Event | None = None

    def add(self, lease: Lease) -> None:
        with self._lock:
            self._leases.add(lease)
            if self._ended is None:
                self._ended = threading.Event()
                threading.Thread(
                    target=self._run, args=(self._ended,), name="pixel-store-lease", daemon=True
                ).start()

    def remove(self, lease: Lease) -> None:
        with self._lock:
            self._leases.discard(lease)
            if not self._leases and self._ended is not None:
                self._ended.set()
                self._ended = None

    def release_all(self) -> None:
        if os.getpid() == _PROCESS:  # not in a fork, which runs the same exit functions
            for lease in list(self._leases):
                lease.release()

    def _run(self, ended: threading.Event) -> None:
        while not ended.wait(RENEWAL_SECONDS):
            for lease in list(self._leases):
                lease.renew()


_renewal: Final = _Renewal()
atexit.register(_renewal.release_all)


def this_process() -> list[Any] | None:
    """Return what identifies this process on its machine until the machine starts again."""
    return _describe(os.getpid())


def _describe(pid: int) -> list[Any] | None:
    """Return boot, process namespace, process id and start time; None where unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        # Containers of one machine have the same boot, and different processes of one id.
        namespace = os.readlink("/proc/self/ns/pid")
        # The name of the program, in parentheses, may contain anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    if fields[0] in ("Z", "X"):
        return None
    return [boot, namespace, pid, fields[19]]


def _has_ended(owner: Any) -> bool:
    """Return whether a process certainly has ended: it ran on this machine, and is gone."""
    mine = this_process()
    if mine is None or not isinstance(owner, list) or owner[:2] != mine[:2] or len(owner) != 4:
        return False
    return isinstance(owner[2], int) and _describe(owner[2]) != owner
