"""Parameter server: makes the coordinator of one fit available to its workers."""

from __future__ import annotations

from typing import Any, Final, Self

from glasses_spark.errors import WorkerError
from glasses_spark.runtime.machine import LOOPBACK
from glasses_spark.training.server.certificates import Credentials
from glasses_spark.training.server.coordinator import Coordinator
from glasses_spark.training.server.protocol import Message
from glasses_spark.training.server.rpc import Handler, Response, RpcServer
from glasses_spark.training.server.state import (
    EpochDecision,
    FitEndedError,
    NotYetError,
    Position,
)

SERVICE: Final = "glasses_spark.ParameterServer"

# Field of a response that asks the worker to repeat the call.
RETRY: Final = "again"

# A worker has at most one call of its loop and one heartbeat under way. The spare
# threads are for connections that are refused.
THREADS_PER_WORKER: Final = 2
SPARE_THREADS: Final = 4

# Longest error text that a worker may send.
MAX_ERROR_CHARACTERS: Final = 20_000


class ParameterServer:
    """Serves one coordinator, as a context manager.

    Args:
        coordinator: The coordinator that handles the calls.
        credentials: The server's credentials, from `make_credentials`.
        bind_address: Address to listen on, such as ``127.0.0.1`` or ``0.0.0.0``.
        port: Port to listen on; 0 takes a free one.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        credentials: Credentials,
        *,
        bind_address: str = LOOPBACK,
        port: int = 0,
    ) -> None:
        self._coordinator = coordinator
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

    def _join(self, message: Message) -> Response:
        position, decision = self._coordinator.join(
            message.integer("worker"), message.integer("attempt"), message.text("host")
        )
        header = {"epoch": position.epoch, "step": position.step, **_decision_header(decision)}
        return header, None

    def _pull(self, message: Message) -> Response:
        weights = self._coordinator.pull(
            message.integer("worker"), message.integer("attempt"), _position(message)
        )
        return {}, weights

    def _push(self, message: Message) -> Response:
        weights = self._coordinator.push(
            message.integer("worker"),
            message.integer("attempt"),
            _position(message),
            message.integer("rows"),
            message.update(),
            message.numbers("metrics", self._coordinator.state_size),
        )
        return {}, weights

    def _finish_epoch(self, message: Message) -> Response:
        decision = self._coordinator.finish_epoch(
            message.integer("worker"),
            message.integer("attempt"),
            message.integer("epoch"),
            message.numbers("metrics", self._coordinator.state_size),
            seconds=message.number("seconds"),
            waiting=message.number("waiting"),
        )
        return _decision_header(decision), None

    def _optimizer_state(self, message: Message) -> Response:
        self._coordinator.receive_optimizer_state(
            message.integer("worker"),
            message.integer("attempt"),
            message.integer("part"),
            message.update(),
        )
        return {}, None

    def _heartbeat(self, message: Message) -> Response:
        self._coordinator.heartbeat(message.integer("worker"), message.integer("attempt"))
        return {}, None

    def _fail(self, message: Message) -> Response:
        worker, host = message.integer("worker"), message.text("host")
        text = message.text("error")[:MAX_ERROR_CHARACTERS]
        details = message.text("traceback")[:MAX_ERROR_CHARACTERS]
        # Raises an error unless this is the worker's current attempt.
        self._coordinator.heartbeat(worker, message.integer("attempt"))
        error = WorkerError(f"worker {worker} on {host}: {text}")
        error.add_note(f"The worker's own traceback:\n{details}")
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


def _position(message: Message) -> Position:
    return Position(message.integer("epoch"), message.integer("step"))


def _decision_header(decision: EpochDecision) -> dict[str, Any]:
    return {"stop": decision.stop, "learning_rate": decision.learning_rate}
