"""Settings of a service: its limits, and who may use it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ServeSettings:
    """Settings of a service.

    Attributes:
        token: Secret that each request but that for the page and ``/healthz`` must carry; empty
            for none.
        hosts: Names by which clients may address the service; empty for any. A service on the
            loopback interface names itself, so that a page of another site cannot use it.
        max_bytes: Largest body of a request in bytes, at least 1.
        max_files: Most images in one request, at least 1.
        queue: Most images at a time from their arrival to their answer, at least 1.
        timeout_s: Seconds in which a body must have arrived, and in which its answer must be ready.
    """

    token: str = ""
    hosts: tuple[str, ...] = ()
    max_bytes: int = 32 * 2**20
    max_files: int = 64
    queue: int = 256
    timeout_s: float = 30.0

    @property
    def memory(self) -> int:
        """Most bytes of bodies at a time: eight of the largest."""
        return 8 * self.max_bytes
