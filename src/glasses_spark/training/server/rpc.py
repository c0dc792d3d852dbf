"""RPC: calls of the protocol over gRPC, between ends that trust only each other."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Self

import grpc

from glasses_spark.errors import SetupError, WorkerError
from glasses_spark.training.server.certificates import SERVER_NAME, Credentials
from glasses_spark.training.server.protocol import (
    MAX_HEADER_BYTES,
    CallEndedError,
    Message,
    ProtocolError,
    decode,
    encode,
)
from glasses_spark.training.weights import Vector, WeightLayout

logger = logging.getLogger(__name__)

Answer = tuple[Mapping[str, Any], Vector | None]
Calls = Mapping[str, Callable[[Message], Answer]]

# Room for a driver that is busy starting; a wrong address is known by then.
CONNECT_DEADLINE_S: Final = 60.0

# For answers that are on their way when a server stops.
STOPPING_GRACE_S: Final = 1.0


class RpcServer:
    """Answers calls, from `start` to `stop`.

    Args:
        service: Name under which the calls are found.
        calls: What answers each of them. A `ProtocolError` from it refuses the
            call, a `CallEndedError` ends it; any other error is given to
            ``on_error``.
        credentials: The server's end of `make_credentials`.
        layout: Form of the vectors in the messages.
        threads: Calls that are answered at the same time.
        bind_address: Address to listen on, such as ``127.0.0.1`` or ``0.0.0.0``.
        port: Port to listen on; 0 takes a free one.
        on_error: Told of errors of our own.

    Attributes:
        port: Port that it listens on, known once it has started.
    """

    def __init__(
        self,
        service: str,
        calls: Calls,
        credentials: Credentials,
        layout: WeightLayout,
        *,
        threads: int,
        bind_address: str,
        port: int = 0,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        self.port = port
        self._layout = layout
        self._on_error = on_error
        self._address = f"{bind_address}:{port}"
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="parameter-server")
        self._server = grpc.server(self._threads, options=_options(layout))
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(self._handler(name, call))
            for name, call in calls.items()
        }
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, handlers)]
        )
        self._secure = grpc.ssl_server_credentials(
            [(credentials.own.key, credentials.own.certificate)],
            root_certificates=credentials.trusted,
            require_client_auth=True,
        )

    def start(self) -> None:
        """Start to listen.

        Raises:
            SetupError: The address is not this machine's, or the port is taken.
        """
        try:
            self.port = self._server.add_secure_port(self._address, self._secure)
        except RuntimeError as error:
            self.stop()
            raise SetupError(
                f"the parameter server cannot listen on {self._address}: {error}. "
                "Name an address of this machine (spark.driver.bindAddress) and a free port, or 0"
            ) from None
        self._server.start()
        logger.debug("the parameter server listens on %s, port %d", self._address, self.port)

    def stop(self) -> None:
        """Stop to listen and wait until every call has ended."""
        self._server.stop(STOPPING_GRACE_S).wait()
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
            except CallEndedError as error:
                context.abort(grpc.StatusCode.ABORTED, str(error))
            except Exception as error:
                logger.debug("a %s failed in the driver", name, exc_info=True)
                if self._on_error is not None:
                    self._on_error(error)
                context.abort(grpc.StatusCode.ABORTED, "the call failed in the driver")
            return encode(header, vector)

        return handle


class Channel:
    """A connection to an `RpcServer`, from ``with`` to the end of the block.

    Args:
        service: Name under which the server's calls are found.
        host: Name or address of the server.
        port: Its port.
        credentials: The workers' end of `make_credentials`.
        layout: Form of the vectors in the messages.
    """

    def __init__(
        self, service: str, host: str, port: int, credentials: Credentials, layout: WeightLayout
    ) -> None:
        self._service = service
        self._target = f"{host}:{port}"
        self._layout = layout
        secure = grpc.ssl_channel_credentials(
            root_certificates=credentials.trusted,
            private_key=credentials.own.key,
            certificate_chain=credentials.own.certificate,
        )
        # The certificate names the server's part, not its address.
        options = [*_options(layout), ("grpc.ssl_target_name_override", SERVER_NAME)]
        self._channel = grpc.secure_channel(self._target, secure, options=options)

    def __enter__(self) -> Self:
        try:
            grpc.channel_ready_future(self._channel).result(timeout=CONNECT_DEADLINE_S)
        except grpc.FutureTimeoutError:
            self._channel.close()
            raise WorkerError(
                f"no parameter server answers at {self._target} within {CONNECT_DEADLINE_S:.0f} s. "
                "Executors must reach the driver there: look at spark.driver.host, "
                "spark.driver.bindAddress and the firewall"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def call(
        self,
        method: str,
        header: Mapping[str, Any],
        vector: Vector | None = None,
        *,
        deadline: float,
    ) -> Message:
        """Call the server.

        Args:
            method: Which of its calls.
            header: What to say.
            vector: Numbers to send with it, ``(size,)``.
            deadline: Seconds that it may take.

        Raises:
            CallEndedError: The server has ended what the call is about.
            WorkerError: It is gone, refused the call, or did not answer in time.
        """
        call: Callable[..., bytes] = self._channel.unary_unary(f"/{self._service}/{method}")
        try:
            reply = call(encode(header, vector), timeout=deadline)
        except grpc.RpcError as error:
            status = error.code()
            if status in (grpc.StatusCode.ABORTED, grpc.StatusCode.CANCELLED):
                raise CallEndedError(f"{method}: {error.details()}") from None
            if status is grpc.StatusCode.UNAVAILABLE:
                raise WorkerError(
                    f"{method}: the parameter server at {self._target} is gone: {error.details()}"
                ) from None
            raise WorkerError(f"{method}: {status.name}: {error.details()}") from None
        return decode(reply, size=self._layout.size, dtype=self._layout.dtype)


def _options(layout: WeightLayout) -> list[tuple[str, Any]]:
    """GRPC's settings for both ends: messages no longer than the protocol has them."""
    longest = layout.nbytes + MAX_HEADER_BYTES + 4
    return [
        ("grpc.max_send_message_length", longest),
        ("grpc.max_receive_message_length", longest),
        # Two servers on one port would share its connections without a word.
        ("grpc.so_reuseport", 0),
        # A proxy for the web must not come between driver and executors.
        ("grpc.enable_http_proxy", 0),
    ]
