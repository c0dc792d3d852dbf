"""A coordinator with a running parameter server and clients for it."""

from __future__ import annotations

import numpy as np

from glasses_spark.runtime.machine import LOOPBACK
from glasses_spark.training.schedule import Schedule
from glasses_spark.training.server.calls import Position, Push
from glasses_spark.training.server.certificates import make_credentials
from glasses_spark.training.server.coordinator import Coordinator
from glasses_spark.training.server.fit_control import LONGEST_WAIT_S
from glasses_spark.training.server.parameter_client import ParameterClient, ServerAddress
from glasses_spark.training.server.parameter_server import ParameterServer
from glasses_spark.training.server.shared_weights import SharedWeights
from tests.training.tiny import tiny_model

STATE = np.zeros(4)


class ServedFit:
    """Two epochs of workers with 8 rows each in batches of 4."""

    def __init__(
        self,
        *,
        mode: str = "asynchronous",
        workers: int = 2,
        longest_wait: float = LONGEST_WAIT_S,
        shared_memory: bool = True,
    ) -> None:
        self.weights = SharedWeights(tiny_model(), workers=workers, uses_gradients=False)
        self.coordinator = Coordinator(
            Schedule(mode, "batch", 2, 4, (8,) * workers, (0,) * workers),
            self.weights,
            state_size=len(STATE),
            stall_timeout=60,
            longest_wait=longest_wait,
        )
        server_credentials, self.credentials = make_credentials()
        self.server = ParameterServer(
            self.coordinator, server_credentials, shared_memory=shared_memory
        )

    def client(self, *workers: int, attempt: int = 0, heartbeat: float = 5.0) -> ParameterClient:
        """Return a client of a task that hosts some workers, the first one by default."""
        address = ServerAddress(LOOPBACK, self.server.port, self.credentials, 10.0, heartbeat)
        return ParameterClient(
            address, self.weights.layout, workers=workers or [0], attempt=attempt, host="host"
        )

    def push(self, step: int = 0, *, rows: int = 4, value: float = 1, version: int = 0) -> Push:
        """Return the push of a step whose update has equal numbers."""
        update = np.full(self.weights.layout.size, value, np.float32)
        return Push(Position(0, step), rows, update, STATE, version, (), Position(0, step + 1))
