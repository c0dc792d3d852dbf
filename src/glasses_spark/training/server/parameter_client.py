"""Parameter client: a worker's end of the connection to the parameter server."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from glasses_spark.errors import WorkerError
from glasses_spark.training.server.certificates import Credentials
from glasses_spark.training.server.parameter_server import SERVICE
from glasses_spark.training.server.protocol import CallEndedError, Message
from glasses_spark.training.server.rpc import Channel
from glasses_spark.training.weights import Vector, WeightLayout

# An answer to a heartbeat needs no computing.
HEARTBEAT_DEADLINE_S: Final = 30.0


@dataclass(frozen=True)
class ServerAddress:
    """Where the parameter server is, and what it takes to speak with it.

    Attributes:
        host: Name or address of the driver, as the executors see it.
        port: Port of the server.
        credentials: The workers' end of `make_credentials`.
        deadline: Seconds that a call may take. The server never makes a worker
            wait longer than `coordinator.LONGEST_WAIT_S`; the rest is for the network.
        heartbeat: Seconds between two signs of life.
    """

    host: str
    port: int
    credentials: Credentials
    deadline: float
    heartbeat: float


class ParameterClient:
    """The calls of one worker, from ``with`` to the end of the block.

    While the block runs, a thread of it sends signs of life, so that the
    driver can tell a long computation from a lost machine.

    Args:
        address: Where the server is.
        layout: Form of the weights' vector.
        worker: Number of the worker, from 0.
        attempt: Number of this attempt of its task; the highest one counts.
        host: Name of this machine and process, for the driver's messages.
    """

    def __init__(
        self, address: ServerAddress, layout: WeightLayout, *, worker: int, attempt: int, host: str
    ) -> None:
        self._address = address
        self._who = {"worker": worker, "attempt": attempt}
        self._host = host
        self._done = threading.Event()
        self._channel = Channel(SERVICE, address.host, address.port, address.credentials, layout)
        self._pulse = threading.Thread(target=self._send_signs_of_life, daemon=True)

    def __enter__(self) -> Self:
        self._channel.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        if self._pulse.is_alive():
            self._pulse.join()
        self._channel.__exit__()

    def join(self) -> Message:
        """Say that this worker is here; the answer names epoch and step to go on with."""
        answer = self._call("Join", {"host": self._host})
        self._pulse.start()
        return self._ask_again(answer, "Join", {"host": self._host})

    def pull(self, epoch: int, step: int) -> Vector:
        """The weights ``(size,)`` for a step."""
        header = {"epoch": epoch, "step": step}
        return self._ask_again(self._call("Pull", header), "Pull", header).update()

    def push(
        self, epoch: int, step: int, *, rows: int, update: Vector, metric_state: Vector
    ) -> Vector:
        """Send an update ``(size,)``; the answer is the weights for the step after it."""
        header = {"epoch": epoch, "step": step, "rows": rows, "metrics": metric_state.tolist()}
        answer = self._call("Push", header, update)
        # The update is in; only the weights that come after it are not there yet.
        return self.pull(epoch, step + 1) if answer.header.get("again") else answer.update()

    def finish_epoch(
        self, epoch: int, *, validation_state: Vector, seconds: float, waiting: float
    ) -> Message:
        """Say that an epoch is done; the answer tells whether to stop."""
        header = {
            "epoch": epoch,
            "metrics": validation_state.tolist(),
            "seconds": seconds,
            "waiting": waiting,
        }
        return self._ask_again(self._call("FinishEpoch", header), "FinishEpoch", header)

    def fail(self, error: str, traceback: str) -> None:
        """Report this worker's error, which ends the fit."""
        self._call("Fail", {"host": self._host, "error": error, "traceback": traceback})

    def _ask_again(self, answer: Message, method: str, header: Mapping[str, Any]) -> Message:
        while answer.header.get("again"):
            answer = self._call(method, header)
        return answer

    def _call(
        self, method: str, header: Mapping[str, Any], vector: Vector | None = None
    ) -> Message:
        return self._channel.call(
            method, {**self._who, **header}, vector, deadline=self._address.deadline
        )

    def _send_signs_of_life(self) -> None:
        while not self._done.wait(self._address.heartbeat):
            try:
                self._channel.call("Heartbeat", self._who, deadline=HEARTBEAT_DEADLINE_S)
            except CallEndedError:
                return  # the worker's own next call will say what is wrong
            except WorkerError:
                continue  # one may be lost on the way; the driver counts on a few
