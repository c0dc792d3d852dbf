"""Parameter client: a task's end of the connection to the parameter server."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

from glasses_spark.errors import WorkerError
from glasses_spark.training.server.calls import EpochEnd, Position, Push
from glasses_spark.training.server.certificates import Credentials
from glasses_spark.training.server.parameter_server import MEMORY, RETRY, SERVICE
from glasses_spark.training.server.protocol import CallEndedError, Message
from glasses_spark.training.server.rpc import Channel
from glasses_spark.training.server.task_memory import MemoryAddress, TaskMemory
from glasses_spark.training.weights import Vector, WeightLayout

# A response to a heartbeat needs no computation.
HEARTBEAT_DEADLINE_S: Final = 30.0


@dataclass(frozen=True)
class ServerAddress:
    """Address of the parameter server and the credentials for it.

    Attributes:
        host: Name or address of the driver, as the executors reach it.
        port: Port of the server.
        credentials: The workers' credentials, from `make_credentials`.
        deadline: Seconds after which a call times out. A call waits in the server
            no longer than `fit_control.LONGEST_WAIT_S`; the rest is for the network.
        heartbeat: Seconds between two heartbeats.
    """

    host: str
    port: int
    credentials: Credentials
    deadline: float
    heartbeat: float


class ParameterClient:
    """The calls of one task for the workers that it hosts, as a context manager.

    From `join` to the end of the block a thread sends heartbeats, so that the
    driver can distinguish a long computation from a lost machine. On the driver's machine
    updates and weights go through memory, if the server offers it.

    Args:
        address: Address of the server.
        layout: Layout of the weights' vector.
        workers: Numbers of the workers, from 0.
        attempt: Number of this attempt of the task; the highest one counts.
        host: Name of this machine and process, for the driver's messages.

    Attributes:
        version: Version of the weights that the server has sent last.
    """

    def __init__(
        self,
        address: ServerAddress,
        layout: WeightLayout,
        *,
        workers: Sequence[int],
        attempt: int,
        host: str,
    ) -> None:
        self.version = 0
        self._address = address
        self._identity: dict[str, Any] = {"workers": list(workers), "attempt": attempt}
        self._host = host
        self._layout = layout
        self._memory: TaskMemory | None = None
        self._slots = {worker: slot for slot, worker in enumerate(workers)}
        self._closed = threading.Event()
        self._channel = Channel(SERVICE, address.host, address.port, address.credentials, layout)
        self._heartbeats = threading.Thread(target=self._send_heartbeats, daemon=True)

    def __enter__(self) -> Self:
        self._channel.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        if self._heartbeats.is_alive():
            self._heartbeats.join()
        self._channel.__exit__()

    def join(self) -> Message:
        """Register the workers.

        Returns:
            A message with ``workers``: ``epoch`` and ``step`` to continue from and the
            ``random`` states of each, with ``stop`` and ``learning_rate``.
        """
        header = {"host": self._host}
        response = self._call("Join", header)
        self._heartbeats.start()
        response = self._repeat_until_ready(response, "Join", header)
        address = MemoryAddress.of_header(response.header.get(MEMORY))
        if address is not None:
            self._memory = TaskMemory.attach(address, self._layout)
        return response

    def pull(self, position: Position) -> Vector:
        """Return the weights ``(size,)`` for a position, valid until the next call."""
        header: dict[str, Any] = {"position": [position.epoch, position.step]}
        if self._memory is not None:
            header[MEMORY] = 0
        return self._weights(self._repeat_until_ready(self._call("Pull", header), "Pull", header))

    def push(self, worker: int, push: Push) -> Vector | None:
        """Send the update of a worker.

        Returns:
            The weights ``(size,)`` for the position that the push awaits, valid until the next
            call; None if it awaits none.
        """
        position, awaited = push.position, push.awaited
        header: dict[str, Any] = {
            "worker": worker,
            "position": [position.epoch, position.step],
            "rows": push.rows,
            "metrics": push.metric_state.tolist(),
            "version": push.version,
            "random": push.random_states,
        }
        update: Vector | None = push.update
        if self._memory is not None:
            # Updates of synchronous workers wait in their own places for the step.
            slot = self._slots.get(worker, 0) % len(self._memory.updates)
            self._memory.updates[slot][:] = push.update
            header[MEMORY], update = slot, None
        if awaited is None:
            self._call("Push", header, update)
            return None
        header["awaited"] = [awaited.epoch, awaited.step]
        response = self._call("Push", header, update)
        # With RETRY the server has the update, and the task waits for the next weights only.
        return self.pull(awaited) if response.header.get(RETRY) else self._weights(response)

    def finish_epoch(self, worker: int, end: EpochEnd) -> Message:
        """Report the end of an epoch of a worker.

        Returns:
            A message with ``stop`` and ``learning_rate``.
        """
        header = {
            "worker": worker,
            "epoch": end.epoch,
            "metrics": end.validation_state.tolist(),
            "seconds": end.seconds,
            "waiting": end.waiting,
            "random": end.random_states,
            "wait": end.wait,
        }
        return self._repeat_until_ready(self._call("FinishEpoch", header), "FinishEpoch", header)

    def send_optimizer_state(self, worker: int, epochs: int, parts: Sequence[Vector]) -> None:
        """Send the state that a worker's own optimizer has after some epochs.

        Args:
            worker: Number of the worker.
            epochs: Number of epochs.
            parts: The state, as `optimizers.pack` returns it.
        """
        for part, vector in enumerate(parts):
            self._call("OptimizerState", {"worker": worker, "epochs": epochs, "part": part}, vector)

    def optimizer_state(self, worker: int) -> list[Vector]:
        """Return the state of a worker's own optimizer; empty if the server has none."""
        parts: list[Vector] = []
        while True:
            response = self._call("OptimizerState", {"worker": worker, "part": len(parts)})
            if response.vector is None:
                return parts
            parts.append(response.vector)
            if len(parts) >= response.integer("parts"):
                return parts

    def fail(self, error: str, traceback: str) -> None:
        """Report an error of this task, which ends the fit."""
        self._call("Fail", {"host": self._host, "error": error, "traceback": traceback})

    def _weights(self, response: Message) -> Vector:
        self.version = response.integer("version")
        return response.update() if self._memory is None else self._memory.weights

    def _repeat_until_ready(
        self, response: Message, method: str, header: Mapping[str, Any]
    ) -> Message:
        while response.header.get(RETRY):
            response = self._call(method, header)
        return response

    def _call(
        self, method: str, header: Mapping[str, Any], vector: Vector | None = None
    ) -> Message:
        return self._channel.call(
            method, {**self._identity, **header}, vector, deadline=self._address.deadline
        )

    def _send_heartbeats(self) -> None:
        while not self._closed.wait(self._address.heartbeat):
            try:
                self._channel.call("Heartbeat", self._identity, deadline=HEARTBEAT_DEADLINE_S)
            except CallEndedError:
                return  # the worker's own next call raises the reason
            except WorkerError:
                continue  # the driver tolerates a few lost heartbeats
