"""Parameter server: the coordinator of one fit, reachable by its workers alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Self

from glasses_spark.errors import WorkerError
from glasses_spark.runtime.machine import LOOPBACK
from glasses_spark.training.server.certificates import Credentials
from glasses_spark.training.server.coordinator import Coordinator
from glasses_spark.training.server.protocol import Message
from glasses_spark.training.server.rpc import Answer, RpcServer
from glasses_spark.training.server.state import FitEndedError, NotYetError, Position, Verdict

SERVICE: Final = "glasses_spark.ParameterServer"

# A worker has one call of its loop under way and one heartbeat; the rest is for strangers.
THREADS_PER_WORKER: Final = 2
SPARE_THREADS: Final = 4

# What a worker may tell of its error.
MAX_ERROR_CHARACTERS: Final = 20_000


class ParameterServer:
    """Serves one coordinator, from ``with`` to the end of the block.

    Args:
        coordinator: What the calls are about.
        credentials: The server's end of `make_credentials`.
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
        calls: dict[str, Callable[[Message], Answer]] = {
            "Join": self._join,
            "Pull": self._pull,
            "Push": self._push,
            "FinishEpoch": self._finish_epoch,
            "Heartbeat": self._heartbeat,
            "Fail": self._fail,
        }
        self._server = RpcServer(
            SERVICE,
            {name: _patient(call) for name, call in calls.items()},
            credentials,
            coordinator.master.layout,
            threads=THREADS_PER_WORKER * coordinator.schedule.workers + SPARE_THREADS,
            bind_address=bind_address,
            port=port,
            # Such as an error of the optimizer: it ends the fit, and the driver raises it.
            on_error=coordinator.fail,
        )

    @property
    def port(self) -> int:
        """The port that it listens on, once the block has begun."""
        return self._server.port

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        # Whoever still waits inside is sent home first, so that nothing is left hanging.
        self._coordinator.fail(FitEndedError("the fit has ended"))
        self._server.stop()

    def _join(self, message: Message) -> Answer:
        position, verdict = self._coordinator.join(
            message.whole("worker"), message.whole("attempt"), message.text("host")
        )
        header = {"epoch": position.epoch, "step": position.step, **_verdict_header(verdict)}
        return header, None

    def _pull(self, message: Message) -> Answer:
        weights = self._coordinator.pull(
            message.whole("worker"),
            message.whole("attempt"),
            message.whole("epoch"),
            message.whole("step"),
        )
        return {}, weights

    def _push(self, message: Message) -> Answer:
        weights = self._coordinator.push(
            message.whole("worker"),
            message.whole("attempt"),
            Position(message.whole("epoch"), message.whole("step")),
            message.whole("rows"),
            message.update(),
            message.numbers("metrics", self._coordinator.state_size),
        )
        return {}, weights

    def _finish_epoch(self, message: Message) -> Answer:
        verdict = self._coordinator.finish_epoch(
            message.whole("worker"),
            message.whole("attempt"),
            message.whole("epoch"),
            message.numbers("metrics", self._coordinator.state_size),
            seconds=message.number("seconds"),
            waiting=message.number("waiting"),
        )
        return _verdict_header(verdict), None

    def _heartbeat(self, message: Message) -> Answer:
        self._coordinator.heartbeat(message.whole("worker"), message.whole("attempt"))
        return {}, None

    def _fail(self, message: Message) -> Answer:
        worker, host = message.whole("worker"), message.text("host")
        text = message.text("error")[:MAX_ERROR_CHARACTERS]
        details = message.text("traceback")[:MAX_ERROR_CHARACTERS]
        # Only the attempt that counts may end the fit.
        self._coordinator.heartbeat(worker, message.whole("attempt"))
        error = WorkerError(f"worker {worker} on {host}: {text}")
        error.add_note(f"The worker's own traceback:\n{details}")
        self._coordinator.fail(error)
        return {}, None


def _patient(call: Callable[[Message], Answer]) -> Callable[[Message], Answer]:
    """Have the worker ask again where what it waits for has not come."""

    def answer(message: Message) -> Answer:
        try:
            return call(message)
        except NotYetError:
            return {"again": True}, None

    return answer


def _verdict_header(verdict: Verdict) -> dict[str, Any]:
    return {"stop": verdict.stop, "learning_rate": verdict.learning_rate}
