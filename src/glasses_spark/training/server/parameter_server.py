"""Parameter server: makes the coordinator of one fit available to its workers."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Final, Self

from glasses_spark.errors import WorkerError
from glasses_spark.runtime.machine import LOOPBACK
from glasses_spark.training.server.calls import Caller, EpochDecision, EpochEnd, Position, Push
from glasses_spark.training.server.certificates import Credentials
from glasses_spark.training.server.coordinator import Coordinator
from glasses_spark.training.server.protocol import Message, ProtocolError
from glasses_spark.training.server.rpc import Handler, Response, RpcServer
from glasses_spark.training.server.state import FitEndedError, NotYetError, WorkerState
from glasses_spark.training.server.task_memory import TaskMemory
from glasses_spark.training.weights import Vector

SERVICE: Final = "glasses_spark.ParameterServer"

# Field of a response that asks the worker to repeat the call.
RETRY: Final = "again"

# Field of the response to a join with the address of memory, and of a push with the number of
# the update in it.
MEMORY: Final = "memory"

# A task has at most one call of its loop and one heartbeat under way, and there are at most as
# many tasks as workers. The spare threads are for connections that are refused.
THREADS_PER_WORKER: Final = 2
SPARE_THREADS: Final = 4

# A task has one connection, and one more while it is started again. The spare ones are for
# connections that have not shown a certificate.
CONNECTIONS_PER_WORKER: Final = 2
SPARE_CONNECTIONS: Final = 256

# Longest error text that a worker may send.
MAX_ERROR_CHARACTERS: Final = 20_000

# Longest name of a machine and a process.
MAX_HOST_CHARACTERS: Final = 300


class ParameterServer:
    """Serves one coordinator, as a context manager.

    Args:
        coordinator: The coordinator that handles the calls.
        credentials: The server's credentials, from `make_credentials`.
        bind_address: Address to listen on, such as ``127.0.0.1`` or ``0.0.0.0``.
        port: Port to listen on; 0 takes a free one.
        shared_memory: Whether tasks on this machine exchange vectors through memory.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        credentials: Credentials,
        *,
        bind_address: str = LOOPBACK,
        port: int = 0,
        shared_memory: bool = True,
    ) -> None:
        self._coordinator = coordinator
        self._shared_memory = shared_memory
        self._memories: dict[Caller, TaskMemory] = {}
        self._memories_lock = threading.Lock()
        handlers: dict[str, Handler] = {
            "Join": self._join,
            "Pull": self._pull,
            "Push": self._push,
            "FinishEpoch": self._finish_epoch,
            "OptimizerState": self._optimizer_state,
            "Heartbeat": self._heartbeat,
            "Fail": self._fail,
        }
        self._server = RpcServer(
            SERVICE,
            {name: _with_retry(handler) for name, handler in handlers.items()},
            credentials,
            coordinator.shared_weights.layout,
            threads=THREADS_PER_WORKER * coordinator.schedule.workers + SPARE_THREADS,
            connections=CONNECTIONS_PER_WORKER * coordinator.schedule.workers + SPARE_CONNECTIONS,
            bind_address=bind_address,
            port=port,
            # For example an error of the optimizer: it ends the fit, and the driver raises it.
            on_error=coordinator.fail,
        )

    @property
    def port(self) -> int:
        """Port that the server listens on, inside the block."""
        return self._server.port

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Releases waiting workers first, because `stop` waits for all calls.
        self._coordinator.fail(FitEndedError("the fit has ended"))
        self._server.stop()
        for memory in self._memories.values():
            memory.close()

    def _join(self, message: Message) -> Response:
        caller = _caller(message)
        states, decision = self._coordinator.join(caller, _host(message))
        header = {"workers": [_worker_header(state) for state in states]}
        return header | _decision_header(decision) | self._offer_memory(caller), None

    def _offer_memory(self, caller: Caller) -> dict[str, Any]:
        """Return the field of a response with the address of memory for a task."""
        if not self._shared_memory:
            return {}
        # The updates of synchronous workers wait for each other.
        updates = len(caller.workers) if self._coordinator.schedule.synchronous else 1
        made = TaskMemory.create(self._coordinator.shared_weights.layout, updates)
        if made is None:
            return {}
        memory, address = made
        with self._memories_lock:
            for other in list(self._memories):
                if other.attempt <= caller.attempt and set(other.workers) & set(caller.workers):
                    self._memories.pop(other).close()
            self._memories[caller] = memory
        return {MEMORY: address.header()}

    def _memory(self, message: Message) -> TaskMemory | None:
        """Return the memory that a task uses; None if it sends and receives vectors."""
        if message.header.get(MEMORY) is None:
            return None
        caller = _caller(message)
        memory = self._memories.get(caller)
        if memory is None:
            self._coordinator.heartbeat(caller)  # raises the reason if a newer attempt has joined
            raise ProtocolError("memory: expected that of a task that has joined, got none")
        return memory

    def _pull(self, message: Message) -> Response:
        position = Position(*_pair(message, "position"))
        answer = self._coordinator.pull(_caller(message), position)
        return _versioned(answer, self._memory(message))

    def _push(self, message: Message) -> Response:
        memory = self._memory(message)
        awaits = message.header.get("awaited") is not None
        push = Push(
            position=Position(*_pair(message, "position")),
            rows=message.integer("rows"),
            update=memory.update(message.integer(MEMORY)) if memory else message.update(),
            metric_state=message.numbers("metrics", self._coordinator.state_size),
            version=message.integer("version"),
            random_states=message.pairs("random"),
            awaited=Position(*_pair(message, "awaited")) if awaits else None,
        )
        answer = self._coordinator.push(_caller(message), message.integer("worker"), push)
        return _versioned(answer, memory)

    def _finish_epoch(self, message: Message) -> Response:
        end = EpochEnd(
            epoch=message.integer("epoch"),
            validation_state=message.numbers("metrics", self._coordinator.state_size),
            seconds=message.seconds("seconds"),
            waiting=message.seconds("waiting"),
            random_states=message.pairs("random"),
            wait=message.flag("wait"),
        )
        decision = self._coordinator.finish_epoch(_caller(message), message.integer("worker"), end)
        return _decision_header(decision), None

    def _optimizer_state(self, message: Message) -> Response:
        caller, worker = _caller(message), message.integer("worker")
        part = message.integer("part")
        if message.vector is None:
            parts = self._coordinator.optimizer_state(caller, worker)
            return {"parts": len(parts)}, parts[part] if part < len(parts) else None
        epochs = message.integer("epochs")
        self._coordinator.receive_optimizer_state(caller, worker, epochs, part, message.vector)
        return {}, None

    def _heartbeat(self, message: Message) -> Response:
        self._coordinator.heartbeat(_caller(message))
        return {}, None

    def _fail(self, message: Message) -> Response:
        caller, host = _caller(message), _host(message)
        text = message.text("error")[:MAX_ERROR_CHARACTERS]
        details = message.text("traceback")[:MAX_ERROR_CHARACTERS]
        # Raises an error unless this is the workers' current attempt.
        self._coordinator.heartbeat(caller)
        error = WorkerError(f"{_names(caller.workers)} on {host}: {text}")
        error.add_note(f"The worker's own traceback:\n{details}")
        # The error itself remains in the worker: it need not be known in the driver.
        error.__cause__ = WorkerError(text)
        self._coordinator.fail(error)
        return {}, None


def _with_retry(handler: Handler) -> Handler:
    """Answer a call that waited too long with a request to repeat it."""

    def handle(message: Message) -> Response:
        try:
            return handler(message)
        except NotYetError:
            return {RETRY: True}, None

    return handle


def _caller(message: Message) -> Caller:
    workers = message.integers("workers")
    if not workers:
        raise ProtocolError("workers: expected the number of a worker or more, got none")
    return Caller(workers, message.integer("attempt"))


def _host(message: Message) -> str:
    return message.text("host")[:MAX_HOST_CHARACTERS]


def _pair(message: Message, key: str) -> tuple[int, int]:
    numbers = message.integers(key)
    if len(numbers) != 2:
        raise ProtocolError(f"{key}: expected an epoch and a step, got {len(numbers)} numbers")
    return numbers[0], numbers[1]


def _names(workers: Sequence[int]) -> str:
    """Return what a message calls the workers of a task."""
    numbers = ", ".join(map(str, workers))
    return f"worker {numbers}" if len(workers) == 1 else f"the task of the workers {numbers}"


def _versioned(answer: tuple[Vector, int] | None, memory: TaskMemory | None) -> Response:
    if answer is None:
        return {}, None
    weights, version = answer
    if memory is None:
        return {"version": version}, weights
    memory.weights[:] = weights
    return {"version": version}, None


def _worker_header(state: WorkerState) -> dict[str, Any]:
    header = {"epoch": state.epoch, "step": state.step, "random": state.random_states}
    if state.metric_state is not None:
        header["metrics"] = state.metric_state.tolist()
    return header


def _decision_header(decision: EpochDecision) -> dict[str, Any]:
    return {"stop": decision.stop, "learning_rate": decision.learning_rate}
