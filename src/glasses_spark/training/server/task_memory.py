"""Task memory: vectors that a task on the driver's machine exchanges without the network."""

from __future__ import annotations

import fcntl
import hmac
import logging
import mmap
import os
import re
import secrets
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np

from glasses_spark.training.server.protocol import ProtocolError
from glasses_spark.training.weights import Vector, WeightLayout

logger = logging.getLogger(__name__)

_TOKEN_BYTES: Final = 32

# A file that another process of the same user holds open.
_PATH = re.compile(r"/proc/\d+/fd/\d+")


@dataclass(frozen=True)
class MemoryAddress:
    """Where a task finds its memory, and how it knows that it is the right one.

    ``repr`` leaves out the token, so that no log shows it.

    Attributes:
        path: Path of the memory, which has no name in any folder.
        token: First bytes of the memory, in hexadecimal digits.
        updates: Number of updates in it.
    """

    path: str
    token: str = field(repr=False)
    updates: int

    def header(self) -> list[Any]:
        """Return the address as a field of a header."""
        return [self.path, self.token, self.updates]

    @classmethod
    def of_header(cls, value: Any) -> Self | None:
        """Return the address in a field of a header; None if the server offers no memory.

        Raises:
            ProtocolError: The field has another form.
        """
        if value is None:
            return None
        if isinstance(value, list) and [type(item) for item in value] == [str, str, int]:
            path, token, updates = value
            if _PATH.fullmatch(path) and updates > 0:
                return cls(path, token, updates)
        raise ProtocolError(f"memory: expected a path, a token and a number, got {value!r:.80}")


class TaskMemory:
    """Memory of the driver and one task: vectors of updates, and one of weights.

    The pages belong to no file system, and the kernel frees them with the last process that
    has them, however it ends. They cannot be made shorter, so that no process dies reading
    them. Driver and task use them in turn: the task writes an update before a call and reads
    the weights after it.

    Args:
        descriptor: Descriptor of the memory.
        layout: Layout of a vector.
        updates: Number of updates, at least 1.

    Attributes:
        updates: Updates ``(size,)``, which the task writes.
        weights: Weights ``(size,)``, which the driver writes.
    """

    def __init__(self, descriptor: int, layout: WeightLayout, updates: int) -> None:
        self._descriptor: int | None = None
        self._memory = mmap.mmap(descriptor, _nbytes(layout, updates))
        vectors = [
            np.frombuffer(self._memory, layout.dtype, layout.size, _start(layout, index))
            for index in range(updates + 1)
        ]
        self.weights: Vector = vectors[0]
        self.updates: list[Vector] = vectors[1:]

    @classmethod
    def create(cls, layout: WeightLayout, updates: int) -> tuple[Self, MemoryAddress] | None:
        """Make memory for a task; None where the system has no such memory."""
        if not hasattr(os, "memfd_create"):
            return None
        try:
            descriptor = os.memfd_create("glasses-spark", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        except OSError as error:
            logger.debug("no memory to share with a task: %s", error)
            return None
        try:
            os.ftruncate(descriptor, _nbytes(layout, updates))
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
            memory = cls(descriptor, layout, updates)
            memory._descriptor = descriptor
        except OSError as error:
            logger.debug("no memory to share with a task: %s", error)
            os.close(descriptor)
            return None
        token = secrets.token_bytes(_TOKEN_BYTES)
        memory._memory[:_TOKEN_BYTES] = token
        path = f"/proc/{os.getpid()}/fd/{descriptor}"
        return memory, MemoryAddress(path, token.hex(), updates)

    @classmethod
    def attach(cls, address: MemoryAddress, layout: WeightLayout) -> Self | None:
        """Open the memory of this task; None on another machine, or for another user."""
        try:
            descriptor = os.open(address.path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            # On another machine the path may be that of any file.
            if os.fstat(descriptor).st_size != _nbytes(layout, address.updates):
                return None
            token = os.pread(descriptor, _TOKEN_BYTES, 0).hex()
            if not hmac.compare_digest(token, address.token):
                return None
            return cls(descriptor, layout, address.updates)
        except OSError as error:
            logger.debug("the driver's memory cannot be mapped: %s", error)
            return None
        finally:
            os.close(descriptor)

    def update(self, slot: int) -> Vector:
        """Return an update ``(size,)``.

        Raises:
            ProtocolError: There are not so many.
        """
        if slot >= len(self.updates):
            raise ProtocolError(f"slot: expected one below {len(self.updates)}, got {slot}")
        return self.updates[slot]

    def close(self) -> None:
        """Let no other process open the memory that `create` made; its last user frees it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _start(layout: WeightLayout, index: int) -> int:
    """Return where a vector begins: after the page of the token, each in pages of its own."""
    pages = -(-layout.nbytes // mmap.PAGESIZE)
    return (1 + index * pages) * mmap.PAGESIZE


def _nbytes(layout: WeightLayout, updates: int) -> int:
    return _start(layout, updates + 1)
