"""Parameter server: the coordinator of one fit, reachable over gRPC by its workers alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Final, Self

import grpc

from glasses_spark.errors import SetupError, WorkerError
from glasses_spark.training.coordinator import (
    Coordinator,
    FitEndedError,
    NotYetError,
    Position,
    Verdict,
)
from glasses_spark.training.credentials import Credentials
from glasses_spark.training.protocol import (
    MAX_HEADER_BYTES,
    SERVICE,
    Message,
    ProtocolError,
    decode,
    encode,
)
from glasses_spark.training.weights import Vector

logger = logging.getLogger(__name__)

# A worker has one call of its loop under way and one heartbeat; the rest is for strangers.
THREADS_PER_WORKER: Final = 2
SPARE_THREADS: Final = 4
# What a worker may tell of its error.
MAX_ERROR_CHARACTERS: Final = 20_000

Answer = tuple[Mapping[str, Any], Vector | None]


class ParameterServer:
    """Serves one coordinator, from ``with`` to the end of the block.

    Args:
        coordinator: What the calls are about.
        credentials: The server's end of `make_credentials`.
        bind_address: Address to listen on, such as ``127.0.0.1`` or ``0.0.0.0``.
        port: Port to listen on; 0 takes a free one.

    Attributes:
        port: Port that it listens on, known once it has been entered.
    """

    def __init__(
        self,
        coordinator: Coordinator,
        credentials: Credentials,
        *,
        bind_address: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        self._coordinator = coordinator
        self._layout = coordinator.master.layout
        self._credentials = credentials
        self._bind_address = bind_address
        self.port = port
        self._server: Any = None
        self._threads: ThreadPoolExecutor | None = None

    def __enter__(self) -> Self:
        workers = self._coordinator.schedule.workers
        self._threads = ThreadPoolExecutor(
            THREADS_PER_WORKER * workers + SPARE_THREADS, thread_name_prefix="parameter-server"
        )
        self._server = grpc.server(
            self._threads, options=channel_options(self._layout.nbytes), compression=None
        )
        calls: dict[str, Callable[[Message], Answer]] = {
            "Join": self._join,
            "Pull": self._pull,
            "Push": self._push,
            "FinishEpoch": self._finish_epoch,
            "Heartbeat": self._heartbeat,
            "Fail": self._fail,
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(self._handler(name, call))
            for name, call in calls.items()
        }
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(SERVICE, handlers)]
        )
        own = self._credentials.own
        secure = grpc.ssl_server_credentials(
            [(own.key, own.certificate)],
            root_certificates=self._credentials.trusted,
            require_client_auth=True,
        )
        address = f"{self._bind_address}:{self.port}"
        try:
            self.port = self._server.add_secure_port(address, secure)
        except RuntimeError as error:
            self.__exit__(None, None, None)
            raise SetupError(
                f"the parameter server cannot listen on {address}: {error}. "
                "Name an address of this machine (spark.driver.bindAddress) and a free port, or 0"
            ) from None
        self._server.start()
        logger.debug("the parameter server listens on %s:%d", self._bind_address, self.port)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Whoever still waits inside is sent home first, so that nothing is left hanging.
        self._coordinator.fail(FitEndedError("the fit has ended"))
        self._server.stop(grace=1).wait()
        if self._threads is not None:
            self._threads.shutdown(wait=True)

    def _handler(
        self, name: str, call: Callable[[Message], Answer]
    ) -> Callable[[bytes, Any], bytes]:
        def handle(request: bytes, context: Any) -> bytes:
            try:
                message = decode(request, size=self._layout.size, dtype=self._layout.dtype)
                header, vector = call(message)
            except ProtocolError as error:
                logger.warning("refused a %s from %s: %s", name, context.peer(), error)
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            except NotYetError:
                header, vector = {"again": True}, None
            except FitEndedError as error:
                context.abort(grpc.StatusCode.ABORTED, str(error))
            except Exception as error:
                # Such as an error of the optimizer: it ends the fit, and the driver raises it.
                self._coordinator.fail(error)
                context.abort(grpc.StatusCode.ABORTED, "the fit has failed in the driver")
            return encode(header, vector)

        return handle

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


def channel_options(payload_bytes: int) -> list[tuple[str, int]]:
    """GRPC's settings for both ends: messages no longer than the protocol has them."""
    longest = payload_bytes + MAX_HEADER_BYTES + 4
    return [
        ("grpc.max_send_message_length", longest),
        ("grpc.max_receive_message_length", longest),
        # Two servers on one port would share its connections without a word.
        ("grpc.so_reuseport", 0),
    ]


def _verdict_header(verdict: Verdict) -> dict[str, Any]:
    return {"stop": verdict.stop, "learning_rate": verdict.learning_rate}
