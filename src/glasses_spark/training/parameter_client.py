"""Parameter client: a worker's end of the connection to the parameter server."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import grpc

from glasses_spark.errors import WorkerError
from glasses_spark.training.credentials import SERVER_NAME, Credentials
from glasses_spark.training.protocol import SERVICE, Message, decode, encode
from glasses_spark.training.weights import Vector, WeightLayout

# An answer to a heartbeat needs no computing.
HEARTBEAT_DEADLINE_S: Final = 30.0
# Room for a driver that is busy starting; a wrong address is known by then.
CONNECT_DEADLINE_S: Final = 60.0


class FitOverError(WorkerError):
    """The server does not want this worker any more: the fit is over, or another attempt has it."""


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
        host: Name of this machine, for the driver's messages.
        channel_options: GRPC's settings, the same as the server's.
    """

    def __init__(
        self,
        address: ServerAddress,
        layout: WeightLayout,
        *,
        worker: int,
        attempt: int,
        host: str,
        channel_options: list[tuple[str, int]],
    ) -> None:
        self._address = address
        self._layout = layout
        self._who = {"worker": worker, "attempt": attempt}
        self._host = host
        self._options = channel_options
        self._done = threading.Event()
        self._channel: Any = None
        self._pulse: threading.Thread | None = None

    def __enter__(self) -> Self:
        credentials = self._address.credentials
        secure = grpc.ssl_channel_credentials(
            root_certificates=credentials.trusted,
            private_key=credentials.own.key,
            certificate_chain=credentials.own.certificate,
        )
        target = f"{self._address.host}:{self._address.port}"
        options = [*self._options, ("grpc.ssl_target_name_override", SERVER_NAME)]
        self._channel = grpc.secure_channel(target, secure, options=options)
        try:
            grpc.channel_ready_future(self._channel).result(timeout=CONNECT_DEADLINE_S)
        except grpc.FutureTimeoutError:
            self._channel.close()
            raise WorkerError(
                f"no parameter server answers at {target} within {CONNECT_DEADLINE_S:.0f} s. "
                "Executors must reach the driver there: look at spark.driver.host, "
                "spark.driver.bindAddress and the firewall"
            ) from None
        self._pulse = threading.Thread(target=self._send_signs_of_life, daemon=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        if self._pulse is not None and self._pulse.is_alive():
            self._pulse.join()
        self._channel.close()

    def join(self) -> Message:
        """Say that this worker is here; the answer names epoch and step to go on with."""
        answer = self._call("Join", {"host": self._host})
        if self._pulse is not None:
            self._pulse.start()
        while answer.header.get("again"):
            answer = self._call("Join", {"host": self._host})
        return answer

    def pull(self, epoch: int, step: int) -> Vector:
        """The weights ``(size,)`` for a step."""
        answer = self._call("Pull", {"epoch": epoch, "step": step})
        while answer.header.get("again"):
            answer = self._call("Pull", {"epoch": epoch, "step": step})
        return answer.update()

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
        answer = self._call("FinishEpoch", header)
        while answer.header.get("again"):
            answer = self._call("FinishEpoch", header)
        return answer

    def fail(self, error: str, traceback: str) -> None:
        """Report this worker's error, which ends the fit."""
        self._call("Fail", {"host": self._host, "error": error, "traceback": traceback})

    def _call(
        self,
        method: str,
        header: Mapping[str, Any],
        vector: Vector | None = None,
        *,
        deadline: float | None = None,
    ) -> Message:
        call: Callable[..., bytes] = self._channel.unary_unary(f"/{SERVICE}/{method}")
        request = encode({**self._who, **header}, vector)
        try:
            reply = call(request, timeout=deadline or self._address.deadline)
        except grpc.RpcError as error:
            status = error.code()
            if status in (grpc.StatusCode.ABORTED, grpc.StatusCode.CANCELLED):
                raise FitOverError(f"{method}: {error.details()}") from None
            if status is grpc.StatusCode.UNAVAILABLE:
                raise FitOverError(f"{method}: the parameter server is gone") from None
            raise WorkerError(f"{method}: {status.name}: {error.details()}") from None
        return decode(reply, size=self._layout.size, dtype=self._layout.dtype)

    def _send_signs_of_life(self) -> None:
        while not self._done.wait(self._address.heartbeat):
            try:
                self._call("Heartbeat", {}, deadline=HEARTBEAT_DEADLINE_S)
            except WorkerError:
                return  # the worker's own next call will say what is wrong
