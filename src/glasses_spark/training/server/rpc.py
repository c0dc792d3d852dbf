"""RPC: the protocol's calls over gRPC with mutual TLS."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Self

import grpc

from glasses_spark.errors import SetupError, WorkerError
from glasses_spark.runtime.open_files import reserve_files
from glasses_spark.training.server.certificates import SERVER_NAME, Credentials
from glasses_spark.training.server.protocol import (
    CHUNK_BYTES,
    MAX_HEADER_BYTES,
    CallEndedError,
    Message,
    ProtocolError,
    decode,
    encode,
)
from glasses_spark.training.weights import Vector, WeightLayout

logger = logging.getLogger(__name__)

# Header and vector of a response.
Response = tuple[Mapping[str, Any], Vector | None]
Handler = Callable[[Message], Response]

# A driver may be busy while it starts.
CONNECT_DEADLINE_S: Final = 60.0

_LONGEST_CHUNK: Final = 4 + MAX_HEADER_BYTES + CHUNK_BYTES

# Of both ends.
_OPTIONS: Final = [
    ("grpc.max_send_message_length", _LONGEST_CHUNK),
    ("grpc.max_receive_message_length", _LONGEST_CHUNK),
    # Otherwise a second server on the same port would take some of its connections.
    ("grpc.so_reuseport", 0),
    # An HTTP proxy must not be used between driver and executors.
    ("grpc.enable_http_proxy", 0),
]

# A connection that has not shown its certificate after this time is closed. The handshake takes
# milliseconds, and no time of the interpreter.
HANDSHAKE_DEADLINE_S: Final = 10.0

# Pause of a worker whose connection was refused, because others took all places until their
# deadline. gRPC would wait longer each time, up to two minutes.
RECONNECT_S: Final = 2.0

# For responses that are under way when a server stops.
STOPPING_GRACE_S: Final = 1.0

# gRPC's own variable for what its core prints.
_VERBOSITY: Final = "GRPC_VERBOSITY"


class RpcServer:
    """Handles calls, from `start` to `stop`.

    Args:
        service: Name of the service in gRPC.
        handlers: Handler of each method. With a `ProtocolError` it refuses the call,
            with a `CallEndedError` it ends the call; any other error goes to
            ``on_error``.
        credentials: The server's credentials, from `make_credentials`.
        layout: Layout of the vectors in the messages.
        threads: Number of calls handled at the same time.
        connections: Number of connections at the same time, with those that have not shown a
            certificate. Further ones are closed, so that the process has files left.
        bind_address: Address to listen on, such as ``127.0.0.1`` or ``0.0.0.0``.
        port: Port to listen on; 0 takes a free one.
        on_error: Called with errors of the driver itself.

    Attributes:
        port: Port that it listens on; the actual one after `start`.
    """

    def __init__(
        self,
        service: str,
        handlers: Mapping[str, Handler],
        credentials: Credentials,
        layout: WeightLayout,
        *,
        threads: int,
        connections: int,
        bind_address: str,
        port: int = 0,
        on_error: Callable[[Exception], None] | None = None,
    ) -> None:
        self.port = port
        self._layout = layout
        self._on_error = on_error
        self._address = f"{bind_address}:{port}"
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="parameter-server")
        options = [
            *_OPTIONS,
            ("grpc.server_handshake_timeout_ms", round(1000 * HANDSHAKE_DEADLINE_S)),
            # All that call at the same time have a place, however low the limit of files is.
            (
                "grpc.max_allowed_incoming_connections",
                max(threads, reserve_files(connections)),
            ),
        ]
        _silence_core()
        self._server = grpc.server(self._threads, options=options)
        methods = {
            name: self._method(self._chunks_handler(name, handler))
            for name, handler in handlers.items()
        }
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler(service, methods)]
        )
        self._tls = grpc.ssl_server_credentials(
            [(credentials.own.key, credentials.own.certificate)],
            root_certificates=credentials.trusted,
            require_client_auth=True,
        )

    def start(self) -> None:
        """Start listening.

        Raises:
            SetupError: The address is not one of this machine, or the port is in use.
        """
        try:
            self.port = self._server.add_secure_port(self._address, self._tls)
        except RuntimeError as error:
            self.stop()
            raise SetupError(
                f"the parameter server cannot listen on {self._address}: {error}. "
                "Use an address of this machine (spark.driver.bindAddress) and a free port, or 0"
            ) from None
        self._server.start()
        logger.debug("the parameter server listens on %s, port %d", self._address, self.port)

    def stop(self) -> None:
        """Stop listening and wait until every call has ended."""
        self._server.stop(STOPPING_GRACE_S).wait()
        self._threads.shutdown(wait=True)

    def _method(self, handle: Callable[[Iterator[bytes], Any], Iterator[bytes]]) -> Any:
        """Return a method of gRPC that answers requests of this layout."""
        if _is_streamed(self._layout):
            return grpc.stream_stream_rpc_method_handler(handle)
        return grpc.unary_unary_rpc_method_handler(
            lambda request, context: next(handle(iter([request]), context), b"")
        )

    def _chunks_handler(
        self, name: str, handler: Handler
    ) -> Callable[[Iterator[bytes], Any], Iterator[bytes]]:
        def handle(request: Iterator[bytes], context: Any) -> Iterator[bytes]:
            try:
                message = decode(request, size=self._layout.size, dtype=self._layout.dtype)
                header, vector = handler(message)
            except grpc.RpcError:
                raise  # the caller has ended
            except ProtocolError as error:
                if not context.is_active():
                    return  # the caller has ended in the middle of its request
                logger.warning("refused a call of %s from %s: %s", name, context.peer(), error)
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            except CallEndedError as error:
                context.abort(grpc.StatusCode.ABORTED, str(error))
            except Exception as error:
                logger.debug("a call of %s failed in the driver", name, exc_info=True)
                if self._on_error is not None:
                    self._on_error(error)
                context.abort(grpc.StatusCode.ABORTED, "the call failed in the driver")
            yield from encode(header, vector)

        return handle


class Channel:
    """A connection to an `RpcServer`, as a context manager.

    Args:
        service: Name of the service in gRPC.
        host: Name or address of the server.
        port: Its port.
        credentials: The workers' credentials, from `make_credentials`.
        layout: Layout of the vectors in the messages.
    """

    def __init__(
        self, service: str, host: str, port: int, credentials: Credentials, layout: WeightLayout
    ) -> None:
        self._service = service
        self._target = f"{host}:{port}"
        self._layout = layout
        tls = grpc.ssl_channel_credentials(
            root_certificates=credentials.trusted,
            private_key=credentials.own.key,
            certificate_chain=credentials.own.certificate,
        )
        # The certificate has the server's role as its name, not the server's address.
        options = [
            *_OPTIONS,
            ("grpc.ssl_target_name_override", SERVER_NAME),
            ("grpc.max_reconnect_backoff_ms", round(1000 * RECONNECT_S)),
        ]
        _silence_core()
        self._channel = grpc.secure_channel(self._target, tls, options=options)

    def __enter__(self) -> Self:
        try:
            grpc.channel_ready_future(self._channel).result(timeout=CONNECT_DEADLINE_S)
        except grpc.FutureTimeoutError:
            self._channel.close()
            raise WorkerError(
                f"no connection to the parameter server at {self._target} within "
                f"{CONNECT_DEADLINE_S:.0f} s. Executors must reach the driver there: check "
                "spark.driver.host, spark.driver.bindAddress and the firewall"
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
            method: Name of the method.
            header: Header to send.
            vector: Vector to send with it, ``(size,)``.
            deadline: Seconds after which the call times out.

        Raises:
            CallEndedError: The server has ended what the call is about.
            WorkerError: The server has stopped, has refused the call or has not
                responded in time.
        """
        path, chunks = f"/{self._service}/{method}", encode(header, vector)
        try:
            if _is_streamed(self._layout):
                response = self._channel.stream_stream(path)(chunks, timeout=deadline)
            else:
                response = [self._channel.unary_unary(path)(next(chunks), timeout=deadline)]
            return decode(response, size=self._layout.size, dtype=self._layout.dtype)
        except grpc.RpcError as error:
            status = error.code()
            if status in (grpc.StatusCode.ABORTED, grpc.StatusCode.CANCELLED):
                raise CallEndedError(f"{method}: {error.details()}") from None
            if status is grpc.StatusCode.UNAVAILABLE:
                raise WorkerError(
                    f"{method}: lost the connection to the parameter server at {self._target}: "
                    f"{error.details()}"
                ) from None
            raise WorkerError(f"{method}: {status.name}: {error.details()}") from None


def _is_streamed(layout: WeightLayout) -> bool:
    """Return whether messages may have several chunks; others take half the time as one piece."""
    return layout.nbytes > CHUNK_BYTES


def _silence_core() -> None:
    """Let gRPC's core print nothing, unless the user's variable says otherwise.

    It would print lines for each stranger whose handshake fails. What matters is an exception.
    """
    # Read when gRPC is used for the first time.
    os.environ.setdefault(_VERBOSITY, "NONE")
