"""Elephas factory: our server and client behind Elephas' own interfaces.

Importing this module registers the type ``grpc`` with Elephas. Then
``AsynchronousSparkModel(..., parameter_server_mode="grpc")`` of Elephas trains
through a server that accepts only its own workers.
"""

from __future__ import annotations

import threading
import uuid
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, Final

from glasses_spark.config.training import HOGWILD
from glasses_spark.errors import SetupError, TrainingError
from glasses_spark.runtime.connect import uses_connect
from glasses_spark.runtime.driver_address import driver_addresses
from glasses_spark.runtime.elephas import (
    BaseParameterClient,
    BaseParameterServer,
    ClientServerFactory,
)
from glasses_spark.runtime.machine import LOOPBACK
from glasses_spark.training.server.certificates import Credentials, make_credentials
from glasses_spark.training.server.protocol import Message, ProtocolError
from glasses_spark.training.server.rpc import Channel, Response, RpcServer
from glasses_spark.training.server.updates import LARGEST, is_usable
from glasses_spark.training.weights import Vector, WeightLayout

SERVICE: Final = "glasses_spark.ElephasParameterServer"

# Elephas' workers call the server once per batch or epoch, and no call waits in it.
THREADS: Final = 16

# How many workers there are is not known here.
CONNECTIONS: Final = 512
CALL_DEADLINE_S: Final = 60.0


class GrpcServer(BaseParameterServer):
    """Parameter server for Elephas' ``AsynchronousSparkModel``.

    Args:
        model: Elephas' description of the model: architecture and weights.
        port: Port to listen on; 0 takes a free one.
        mode: ``asynchronous`` (updates under a lock) or ``hogwild`` (without).
        credentials: The server's credentials, from `make_credentials`.
        custom_objects: Classes and functions that the architecture refers to.
    """

    def __init__(
        self,
        model: Mapping[str, Any],
        port: int,
        mode: str,
        *,
        credentials: Credentials,
        custom_objects: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(model, port, mode, custom_objects=custom_objects)
        self.port: int = port
        weights = self.master_network.get_weights()
        self.layout = layout_of_arrays(weights)
        self._weights = self.layout.join(weights)
        self._credentials = credentials
        self._lock = threading.Lock()
        # Number of the last update of each client.
        self._applied: dict[str, int] = {}
        self._server: RpcServer | None = None

    def start(self) -> None:
        """Start listening; sets `port` to the actual port.

        Raises:
            SetupError: This process uses Spark Connect, which has no RDDs.
        """
        if uses_connect():
            raise SetupError(
                "GrpcFactory serves Elephas' own trainer, which needs RDDs and so a classic "
                "session, found Spark Connect. Use GlassesEstimator, or a classic session"
            )
        self.stop()
        self._server = RpcServer(
            SERVICE,
            {"Pull": self._pull, "Push": self._push},
            self._credentials,
            self.layout,
            threads=THREADS,
            connections=CONNECTIONS,
            bind_address=driver_addresses(_spark_setting, default=LOOPBACK)[1],
            port=self.port,
        )
        self._server.start()
        self.port = self._server.port
        # Elephas does not stop the server after a failed fit.
        weakref.finalize(self, self._server.stop)

    def stop(self) -> None:
        """Stop listening. The server keeps the weights."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _pull(self, message: Message) -> Response:
        return {}, self._weights.copy()

    def _push(self, message: Message) -> Response:
        update = message.update()
        if not is_usable(update):
            raise ProtocolError(
                f"delta: expected finite numbers up to {LARGEST:g}: training diverged. Lower the "
                "learning rate, or check the features for values that are not finite"
            )
        client, number = message.text("client"), message.integer("number")
        with self._lock:
            if number <= self._applied.get(client, 0):
                return {}, None  # repeated after a lost response
            self._applied[client] = number
            if self.mode != HOGWILD:
                self._weights -= update
        if self.mode == HOGWILD:
            self._weights -= update
        return {}, None


class GrpcClient(BaseParameterClient):
    """Client of a `GrpcServer`; Elephas makes it in the driver and sends it to the workers."""

    client_type = "grpc"

    def __init__(self, server: GrpcServer, credentials: Credentials) -> None:
        self._server: GrpcServer | None = server
        self._credentials = credentials
        self._layout = server.layout
        self._address: tuple[str, int] | None = None
        self._begin_numbering()

    def _begin_numbering(self) -> None:
        self._name, self._number = uuid.uuid4().hex, 0

    def __getstate__(self) -> dict[str, Any]:
        # Elephas pickles the client after the server's start, so the port is known.
        return {
            "_server": None,
            "_credentials": self._credentials,
            "_layout": self._layout,
            "_address": self._server_address(),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin_numbering()  # each worker numbers its own updates

    def get_parameters(self) -> list[Any]:
        """Return the weights as ``model.get_weights()`` does."""
        return [array.copy() for array in self._layout.split(self._call("Pull", {}).update())]

    def update_parameters(self, delta: Sequence[Any]) -> None:
        """Subtract a delta, weights before minus weights after, from the server's weights.

        Raises:
            ProtocolError: The shapes of the delta differ from those of the weights.
        """
        shapes = tuple(tuple(getattr(array, "shape", ())) for array in delta)
        if shapes != self._layout.trainable:
            raise ProtocolError(
                f"delta: expected the shapes {self._layout.trainable}, got {shapes}"
            )
        self._number += 1
        header = {"client": self._name, "number": self._number}
        self._call("Push", header, self._layout.join(delta))

    def _call(
        self, method: str, header: Mapping[str, Any], vector: Vector | None = None
    ) -> Message:
        host, port = self._server_address()
        # One connection per call, because Elephas does not close its clients.
        with Channel(SERVICE, host, port, self._credentials, self._layout) as channel:
            return channel.call(method, header, vector, deadline=CALL_DEADLINE_S)

    def _server_address(self) -> tuple[str, int]:
        if self._address is not None:
            return self._address
        if self._server is None:
            raise TrainingError("the client has no parameter server. Make it with GrpcFactory")
        return driver_addresses(_spark_setting, default=LOOPBACK)[0], self._server.port


class GrpcFactory(ClientServerFactory):
    """Makes a parameter server and its clients, with their own credentials."""

    _type = "grpc"

    def __init__(self) -> None:
        self._server_credentials, self._worker_credentials = make_credentials()
        self._server: GrpcServer | None = None

    def create_server(
        self, model: Mapping[str, Any], port: int, mode: str, **kwargs: Any
    ) -> GrpcServer:
        """Make the server; Elephas calls this before `create_client`."""
        self._server = GrpcServer(model, port, mode, credentials=self._server_credentials, **kwargs)
        return self._server

    def create_client(self, *args: Any, **kwargs: Any) -> GrpcClient:
        """Make a client of the server."""
        if self._server is None:
            raise TrainingError("create_client needs a server. Call create_server first")
        return GrpcClient(self._server, self._worker_credentials)


def layout_of_arrays(arrays: Sequence[Any]) -> WeightLayout:
    """Return the layout of the flat vector for a list of arrays."""
    wide = any(str(array.dtype) == "float64" for array in arrays)
    shapes = tuple(tuple(array.shape) for array in arrays)
    return WeightLayout(shapes, (), "float64" if wide else "float32")


def _spark_setting(key: str) -> str | None:
    from pyspark import SparkContext

    context = SparkContext._active_spark_context
    return context.getConf().get(key) if context is not None else None
